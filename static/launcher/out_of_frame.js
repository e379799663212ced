/*
 * Takes the whole window to where somebody signs in. The page around this frame is ours, or the browser refuses.
 */

const link = document.getElementById("out");
if ("go" in link.dataset && window.top !== window) {
  window.top.location.assign(link.href);
}

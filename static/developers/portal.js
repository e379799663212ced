// What every page of the portal does: copying with a click, and forms that are sent once.

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  // The browser shows the page again as it was left when somebody comes back to it.
  window.addEventListener("pageshow", () => { delete form.dataset.sent; });
}

document.querySelector("[data-focus]")?.focus();

// A link to a field that is folded away opens what it is in.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  target?.closest?.("details")?.setAttribute("open", "");
  target?.querySelector?.("input, textarea, select")?.focus();
}
window.addEventListener("hashchange", openTarget);
if (document.getElementById("step")) openTarget();

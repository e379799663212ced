/*
 * Takes all ticks of a long list away at once, or sets them: who wants to share two of forty kinds need not press 38 times.
 * Without this, and in lists of what is sensitive, each tick is set by itself.
 */

for (const row of document.querySelectorAll("[data-ticks]")) {
  const ticks = row.closest("fieldset").querySelectorAll("input[type=checkbox]");
  row.hidden = false;
  row.addEventListener("click", ({ target }) => {
    const wish = target.closest("button")?.dataset.tick;
    for (const tick of wish ? ticks : []) {
      tick.checked = wish === "all";
    }
  });
}

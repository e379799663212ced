/*
 * Takes from the lists what does not go with the chosen kind of launch, and says why. The server says the same to a form.
 * When somebody chooses another kind, what does not go with it gives way to what does, and comes back with its own kind.
 */

const form = document.querySelector("form.launcher");
const kinds = document.querySelectorAll("input[name=kind]");
const selects = document.querySelectorAll("select[data-fitting]");
const labels = new Map();
const wished = new Map(); // What somebody chose in each list, which gave way.

function fit() {
  const kind = [...kinds].find(({ checked }) => checked);
  if (!kind) {
    return;
  }
  for (const select of selects) {
    for (const option of select.options) {
      const isMisfit = Boolean(whyNot(option, kind.value));
      labels.set(option, labels.get(option) ?? option.textContent);
      option.disabled = isMisfit && !option.selected; // What came with a link stays, with the reason beside it.
      option.textContent = labels.get(option) + (isMisfit ? `: not for ${title(kind)}` : "");
    }
    document.getElementById(`${select.id}-misfit`).textContent = said(select, kind);
    const says = document.getElementById(`${select.id}-says`);
    if (says) {
      says.textContent = select.selectedOptions[0]?.dataset.says ?? "";
    }
  }
}

/** Choose in each list what goes with the kind that was just chosen. */
function giveWay(kind) {
  for (const select of selects) {
    const wish = wished.get(select) ?? select.selectedOptions[0];
    wished.delete(select);
    if (!whyNot(wish, kind)) {
      wish.selected = true;
      continue;
    }
    const fitting = [...select.options].filter((option) => !whyNot(option, kind));
    const instead = "needed" in select.dataset ? fitting.find(({ value }) => value) : fitting[0];
    if (instead) {
      wished.set(select, wish);
      instead.selected = true;
    }
  }
}

/** Say of what is chosen in a list why it does not go with the kind, or what it took the place of. */
function said(select, kind) {
  const why = whyNot(select.selectedOptions[0], kind.value);
  const wish = wished.get(select);
  if (wish && !why) {
    return `Instead of ${labels.get(wish)}, which is not for ${title(kind)}: ${whyNot(wish, kind.value)}.`;
  }
  return why && `${why[0].toUpperCase()}${why.slice(1)}.`;
}

const title = (kind) => kind.closest("label").querySelector("strong").textContent.toLowerCase();
const whyNot = (option, kind) => JSON.parse(option?.dataset.misfits || "{}")[kind] ?? "";

// Before anything else hears of the change, which would send the form as it was.
form.addEventListener("change", ({ target }) => {
  if (target.name === "kind") {
    giveWay(target.value);
  } else {
    wished.delete(target);
  }
  fit();
}, { capture: true });
window.addEventListener("pageshow", fit); // A browser that goes back fills in the form again.
fit();

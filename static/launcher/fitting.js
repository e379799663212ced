/*
 * Takes from the lists what does not go with the chosen kind of launch, and says why. The server says the same to a form.
 */

const kinds = document.querySelectorAll("input[name=kind]");
const labels = new Map();

function fit() {
  const kind = [...kinds].find(({ checked }) => checked);
  if (!kind) {
    return;
  }
  const title = kind.closest("label").querySelector("strong").textContent.toLowerCase();
  for (const select of document.querySelectorAll("select[data-fitting]")) {
    for (const option of select.options) {
      const isMisfit = Boolean(whyNot(option, kind.value));
      labels.set(option, labels.get(option) ?? option.textContent);
      option.disabled = isMisfit && !option.selected; // What was chosen stays, with the reason beside it.
      option.textContent = labels.get(option) + (isMisfit ? `: not for ${title}` : "");
    }
    const why = whyNot(select.selectedOptions[0], kind.value);
    document.getElementById(`${select.id}-misfit`).textContent = why && `${why[0].toUpperCase()}${why.slice(1)}.`;
  }
}

const whyNot = (option, kind) => JSON.parse(option?.dataset.misfits ?? "{}")[kind] ?? "";

document.querySelector("form.launcher").addEventListener("change", fit);
window.addEventListener("pageshow", fit); // A browser that goes back fills in the form again.
fit();

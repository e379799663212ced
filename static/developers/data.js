// The table of data: the scope under each name follows the ticks, and the two buttons tick without a page load.

const form = document.getElementById("step");
const table = document.querySelector("table.data");
const ORDER = "cruds";

function write(row) {
  const letters = [...row.querySelectorAll("input:checked")].map((one) => one.value.split(".")[1]);
  const suffix = [...ORDER].filter((letter) => letters.includes(letter)).join("");
  const { resource } = row.dataset;
  row.querySelector(".row-scope").textContent = suffix ? `${table.dataset.level}/${resource}.${suffix}` : `${table.dataset.level}/${resource}`;
}

function tick(choose) {
  for (const row of table.querySelectorAll("tr[data-resource]")) {
    for (const box of row.querySelectorAll("input")) box.checked = choose(row, box);
    write(row);
  }
  table.querySelector("input").dispatchEvent(new Event("change", { bubbles: true }));
}

table.addEventListener("change", (event) => write(event.target.closest("tr")));
form.addEventListener("change", (event) => {
  if (event.target.name !== "level") return;
  table.dataset.level = event.target.value;
  for (const row of table.querySelectorAll("tr[data-resource]")) write(row);
});
document.getElementById("us-core").addEventListener("click", (event) => {
  event.preventDefault();
  tick((row, box) => box.checked || ("usCore" in row.dataset && /\.[rs]$/.test(box.value)));
});
document.getElementById("no-data").addEventListener("click", (event) => {
  event.preventDefault();
  tick(() => false);
});

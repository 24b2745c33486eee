// Sorting, filtering and CSV for the report's tables. Without it everything can still be read.
"use strict";

(() => {
  const number = (cell) => (cell.dataset.v === undefined ? NaN : Number(cell.dataset.v));

  function sortBy(table, column, button) {
    const descending = button.dataset.order !== "descending";
    for (const other of table.querySelectorAll("th button")) {
      delete other.dataset.order;
      other.parentElement.removeAttribute("aria-sort");
    }
    button.dataset.order = descending ? "descending" : "ascending";
    button.parentElement.setAttribute("aria-sort", button.dataset.order);
    const rows = [...table.tBodies[0].rows];
    const isNumeric = rows.some((row) => !Number.isNaN(number(row.cells[column])));
    rows.sort((a, b) => {
      if (!isNumeric) {
        const order = a.cells[column].textContent.localeCompare(b.cells[column].textContent, document.documentElement.lang);
        return descending ? order : -order;
      }
      const x = number(a.cells[column]), y = number(b.cells[column]);
      // What has no number comes last, whichever way the rest is sorted
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return descending ? y - x : x - y;
    });
    table.tBodies[0].append(...rows);
  }

  function field(text) {
    // A text that a spreadsheet would take for a formula is made plain by an apostrophe
    const plain = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
    return /[",\n\r]/.test(plain) ? '"' + plain.replaceAll('"', '""') + '"' : plain;
  }

  function csv(table) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells].map(
      (cell) => (cell.dataset.group ? cell.dataset.group + ": " : "") + cell.textContent.trim());
    const lines = [heads, ...[...table.tBodies[0].rows].map(
      (row) => [...row.cells].map((cell) => cell.dataset.v ?? cell.textContent.trim()))];
    if (table.dataset.synthetic) lines.push([table.dataset.synthetic]);
    return "\ufeff" + lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
  }

  function download(table) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
    link.download = table.dataset.name + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function addTools(table) {
    const tools = document.createElement("div");
    tools.className = "tools";
    const rows = [...table.tBodies[0].rows];
    if (rows.length > 20) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const shown = document.createElement("output");
      label.append(table.dataset.filter + " ", input);
      input.type = "search";
      input.addEventListener("input", () => {
        const wanted = input.value.trim().toLocaleLowerCase();
        let count = 0;
        for (const row of rows) {
          row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted);
          count += !row.hidden;
        }
        shown.textContent = wanted
          ? table.dataset.rows.replace("{shown}", count).replace("{all}", rows.length) : "";
      });
      tools.append(label, shown);
    }
    const save = document.createElement("button");
    save.type = "button";
    save.textContent = table.dataset.csv;
    save.addEventListener("click", () => download(table));
    tools.append(save);
    table.closest(".scroll").before(tools);
  }

  function addSorting(table) {
    const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
    [...heads].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = table.dataset.sort;
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, column, button));
    });
  }

  for (const table of document.querySelectorAll("table")) {
    addTools(table);
    addSorting(table);
  }
  // Folded tables are part of what is printed
  addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details.table-box")) box.open = true;
  });
})();

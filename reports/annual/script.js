// Sorting, filtering and CSV for the report's tables, and what the points of its charts say. Without it everything can
// still be read: each chart's numbers are in the table under it.
"use strict";

(() => {
  const language = document.documentElement.lang;
  const number = (cell) => (cell.dataset.v === undefined ? NaN : Number(cell.dataset.v));
  const lastHeads = (table) => [...table.tHead.rows[table.tHead.rows.length - 1].cells];

  function made(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

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
        const order = a.cells[column].textContent.localeCompare(b.cells[column].textContent, language);
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
    // A text that a spreadsheet would take for a formula is made plain by an apostrophe; numbers stay numbers
    const plain = /^\s*[=+\-@＝＋－＠\t\r]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
    return /[",\n\r]/.test(plain) ? '"' + plain.replaceAll('"', '""') + '"' : plain;
  }

  // All rows, whatever is filtered; below them what they are, and that they are made up
  function csv(table) {
    const heads = lastHeads(table).map(
      (cell) => (cell.dataset.group ? cell.dataset.group + ": " : "") + cell.textContent.trim());
    const lines = [heads, ...[...table.tBodies[0].rows].map(
      (row) => [...row.cells].map((cell) => cell.dataset.v ?? cell.textContent.trim()))];
    lines.push([table.querySelector(".caption-text").textContent.trim()]);
    if (table.dataset.synthetic) lines.push([table.dataset.synthetic]);
    return "\ufeff" + lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
  }

  function downloadButton(table) {
    const save = made("button", { type: "button", className: "save" }, table.dataset.csv);
    save.addEventListener("click", () => {
      const link = made("a", { download: table.dataset.name + ".csv" });
      link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    return save;
  }

  // Columns of names, but for the first, that have few different ones
  function choices(table, rows) {
    return lastHeads(table).flatMap((head, column) => {
      if (!column || !/^(label|text)$/.test(head.className)) return [];
      const values = [...new Set(rows.map((row) => row.cells[column].textContent.trim()))];
      return values.length > 1 && values.length <= 20 ? [{ column, name: head.textContent.trim(), values }] : [];
    });
  }

  function addFilters(table, tools, rows) {
    const input = made("input", { type: "search" });
    const shown = made("output");
    const selects = choices(table, rows).map(({ column, name, values }) => {
      const select = made("select", {}, made("option", { value: "" }, table.dataset.all));
      select.append(...values.map((value) => made("option", { value }, value)));
      tools.append(made("label", {}, name + " ", select));
      return { column, select };
    });
    tools.append(made("label", {}, table.dataset.filter + " ", input), shown);
    function apply() {
      const wanted = input.value.trim().toLocaleLowerCase();
      let count = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLocaleLowerCase().includes(wanted)
          || selects.some(({ column, select }) => select.value && row.cells[column].textContent.trim() !== select.value);
        count += !row.hidden;
      }
      shown.textContent = count === rows.length
        ? "" : table.dataset.rows.replace("{shown}", count).replace("{all}", rows.length);
    }
    for (const { select } of selects) select.addEventListener("change", apply);
    input.addEventListener("input", apply);
  }

  function addTools(table) {
    const tools = made("div", { className: "tools" });
    const rows = [...table.tBodies[0].rows];
    if (rows.length > 12) addFilters(table, tools, rows);
    const figure = table.closest("figure");
    (figure ? figure.querySelector(".source") : tools).append(downloadButton(table));
    if (tools.children.length) table.closest(".scroll").before(tools);
  }

  function addSorting(table) {
    lastHeads(table).forEach((head, column) => {
      const button = made("button", { type: "button", title: table.dataset.sort }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, column, button));
    });
  }

  // One tip for the page; the points themselves are named, so that it need not be read out again
  const tip = made("div", { className: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);

  function showTip(point) {
    const words = point.getAttribute("aria-label").split("; ");
    tip.replaceChildren(...words.map((part) => made("span", {}, part)));
    tip.hidden = false;
    const at = point.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left + at.width / 2 - own.width / 2), document.documentElement.clientWidth - own.width - 8);
    const above = at.top - own.height - 6;
    tip.style.left = left + scrollX + "px";
    tip.style.top = (above < 60 ? at.bottom + 6 : above) + scrollY + "px";
  }

  function hideTip() {
    tip.hidden = true;
  }

  // A chart is one stop of the tabulator; arrows lead from point to point
  function addPoints(chart) {
    const points = [...chart.querySelectorAll(".point")];
    points.forEach((point, place) => {
      point.setAttribute("tabindex", place ? "-1" : "0");
      point.addEventListener("pointerenter", () => showTip(point));
      point.addEventListener("pointerleave", hideTip);
      point.addEventListener("focus", () => showTip(point));
      point.addEventListener("blur", hideTip);
    });
    chart.addEventListener("keydown", (event) => {
      const place = points.indexOf(document.activeElement);
      const next = {
        ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1,
        Home: 0, End: points.length - 1,
      }[event.key];
      if (event.key === "Escape") hideTip();
      if (place < 0 || next === undefined || !points[next]) return;
      event.preventDefault();
      points[place].setAttribute("tabindex", "-1");
      points[next].setAttribute("tabindex", "0");
      points[next].focus();
    });
  }

  for (const table of document.querySelectorAll("table")) {
    addTools(table);
    addSorting(table);
  }
  document.querySelectorAll("svg.chart").forEach(addPoints);
  // Folded tables are part of what is printed
  addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details")) box.open = true;
  });
})();

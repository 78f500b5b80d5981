// Sorting, filtering, the view in the address, CSV. Without it every row is there, in its order.
(() => {
  "use strict";
  const NONE = "–";
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const valueOf = (cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("small, svg").forEach((part) => part.remove());
    return copy.textContent.trim();
  };
  const notesOf = (cell) =>
    [...cell.querySelectorAll("small")].map((note) => note.textContent.trim()).join("; ");
  const numberOf = (text) => Number.parseFloat(text.replace(/−/g, "-").replace(/[<,]/g, ""));

  // Which column each heading stands over; headings of two rows span cells.
  const headingsOf = (table) => {
    const taken = [];
    const found = [];
    [...table.tHead.rows].forEach((row, y) => {
      let x = 0;
      for (const cell of row.cells) {
        while (taken[y]?.[x]) x += 1;
        for (let j = y; j < y + cell.rowSpan; j += 1) {
          taken[j] ??= [];
          for (let i = x; i < x + cell.colSpan; i += 1) taken[j][i] = true;
        }
        if (cell.dataset.name) found.push({ cell, column: x, name: cell.dataset.name });
        x += cell.colSpan;
      }
    });
    return found.sort((a, b) => a.column - b.column);
  };

  const compare = (a, b, order) => {
    if (a === NONE || b === NONE) return (a === NONE) - (b === NONE);
    const [first, second] = [numberOf(a), numberOf(b)];
    const difference =
      Number.isNaN(first) || Number.isNaN(second) ? (a > b) - (a < b) : first - second;
    return order === "descending" ? -difference : difference;
  };

  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  // A spreadsheet would run what starts like a formula.
  const safe = (text) => (/^[=+@\t]|^-(?![\d.])/.test(text) ? `'${text}` : text);

  class Board {
    constructor(element) {
      this.id = element.id;
      this.table = element.querySelector("table");
      this.headings = headingsOf(this.table);
      this.bodies = [...this.table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
      this.rows = this.bodies.flatMap((part) => part.rows);
      this.state = {};
      this.addButtons();
      this.addControls(element);
    }

    cell(row, name) {
      return row.cells[this.headings.find((heading) => heading.name === name).column];
    }

    addButtons() {
      for (const heading of this.headings) {
        const label = heading.cell.textContent.trim().replace(/\s+/g, " ");
        heading.button = make("button", {
          type: "button",
          className: "sort",
          ariaLabel: `Sort by ${label}`,
          onclick: () => {
            const isSame = this.state.sort === heading.name;
            const isUp = isSame ? this.state.order !== "ascending" : heading.cell.matches(".text");
            this.set({ sort: heading.name, order: isUp ? "ascending" : "descending" });
          },
        });
        heading.cell.append(heading.button);
      }
    }

    addControls(element) {
      const search = make("input", {
        type: "search",
        oninput: () => this.set({ find: search.value }),
      });
      const selects = this.headings
        .filter((heading) => "filter" in heading.cell.dataset)
        .map((heading) => this.makeSelect(heading.name, valueOf(heading.cell)))
        .filter(Boolean);
      this.inputs = { find: search };
      this.more = element.querySelector(".more input");
      this.more.onchange = () => this.set({ columns: this.more.checked ? "all" : "" });
      selects.forEach(({ name, select }) => (this.inputs[name] = select));
      this.status = make("p", { className: "count" });
      this.status.setAttribute("role", "status");
      const button = (text, onclick) => make("button", { type: "button", onclick }, text);
      const controls = make(
        "div",
        { className: "controls" },
        make("label", {}, "Find ", search),
        ...selects.map(({ label }) => label),
        button("Download CSV", () => this.download()),
        button("Reset", () => this.reset()),
        this.status,
      );
      element.prepend(controls);
    }

    makeSelect(name, title) {
      const values = [...new Set(this.rows.map((row) => valueOf(this.cell(row, name))))].sort();
      if (values.length < 2) return null;
      const options = ["", ...values].map((value) => make("option", { value }, value || "all"));
      const select = make(
        "select",
        { onchange: () => this.set({ [name]: select.value }) },
        ...options,
      );
      return { name, select, label: make("label", {}, `${title} `, select) };
    }

    set(change) {
      Object.assign(this.state, change);
      this.apply();
      remember();
    }

    reset() {
      this.state = {};
      this.apply();
      remember();
    }

    apply() {
      const { sort, order, columns, find = "", ...filters } = this.state;
      this.more.checked = columns === "all";
      const heading = this.headings.find((known) => known.name === sort);
      for (const { cell } of this.headings) cell.removeAttribute("aria-sort");
      if (heading) heading.cell.setAttribute("aria-sort", order ?? "descending");
      for (const { body, rows } of this.bodies) {
        const sorted = heading
          ? rows.toSorted((a, b) =>
              compare(valueOf(this.cell(a, sort)), valueOf(this.cell(b, sort)), order),
            )
          : rows;
        body.append(...sorted);
      }
      const words = find.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of this.rows) {
        const text = row.textContent.toLowerCase();
        const isFound = words.every((word) => text.includes(word));
        const isChosen = Object.entries(filters).every(
          ([name, value]) => !value || !this.inputs[name] || valueOf(this.cell(row, name)) === value,
        );
        row.hidden = !(isFound && isChosen);
      }
      for (const [name, input] of Object.entries(this.inputs)) {
        if (input.value !== (this.state[name] ?? "")) input.value = this.state[name] ?? "";
      }
      const shown = this.rows.filter((row) => !row.hidden).length;
      this.status.textContent = `${shown} of ${this.rows.length} rows`;
    }

    csv() {
      const rows = [...this.table.tBodies].flatMap((body) => [...body.rows]);
      const shown = rows.filter((row) => !row.hidden);
      const columns = this.headings.flatMap(({ name }) => {
        const hasNotes = this.rows.some((row) => notesOf(this.cell(row, name)));
        const value = { title: name, read: (row) => valueOf(this.cell(row, name)) };
        const notes = { title: `${name}_note`, read: (row) => notesOf(this.cell(row, name)) };
        return hasNotes ? [value, notes] : [value];
      });
      const lines = [
        columns.map((column) => column.title),
        ...shown.map((row) => columns.map((column) => safe(column.read(row)))),
      ];
      return lines.map((line) => `${line.map(quoted).join(",")}\n`).join("");
    }

    download() {
      const address = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
      make("a", { href: address, download: `${this.id}.csv` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    }
  }

  const boards = [...document.querySelectorAll(".board.live")].map((found) => new Board(found));

  function remember() {
    const view = new URLSearchParams();
    for (const board of boards) {
      for (const [name, value] of Object.entries(board.state)) {
        if (value) view.set(`${board.id}.${name}`, value);
      }
    }
    const text = view.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function recall() {
    if (location.hash && !location.hash.includes("=")) return;
    const view = new URLSearchParams(location.hash.slice(1));
    for (const board of boards) {
      const allowed = ["sort", "order", "columns", ...Object.keys(board.inputs)];
      const known = allowed.map((name) => [name, view.get(`${board.id}.${name}`)]);
      board.state = Object.fromEntries(known.filter(([, value]) => value !== null));
      board.apply();
    }
  }

  addEventListener("hashchange", recall);
  for (const board of boards) board.apply();
  recall();
})();

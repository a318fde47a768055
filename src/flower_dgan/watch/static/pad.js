"use strict";
/* A pad on which a mask is drawn: class ids, one a pixel. */
(() => {
  const dgan = window.dgan;
  const { el, fill } = dgan;

  const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

  dgan.Pad = class {
    constructor() {
      this.side = 32;
      this.names = ["background", "foreground"];
      this.colours = ["#000000", "#ffffff"];
      this.count = 2;
      this.chosen = 1;
      this.brush = 2;
      this.at = [16, 16];
      this.ids = new Uint8Array(this.side ** 2);
      this.canvas = el("canvas", { class: "pad", id: "pad", tabindex: "0", role: "application", "aria-label": "Mask: arrow keys move the brush, space paints" });
      this.palette = el("div", { class: "palette", role: "group", "aria-label": "Class" });
      const size = el("input", { type: "range", min: 1, max: 12, value: this.brush, id: "brush", "aria-label": "Brush" });
      size.addEventListener("input", () => { this.brush = Number(size.value); });
      const file = el("input", { type: "file", accept: "image/png,image/jpeg,image/bmp", class: "hidden", id: "mask-file" });
      file.addEventListener("change", () => {
        if (file.files[0]) this.load(URL.createObjectURL(file.files[0]));
        file.value = "";
      });
      this.node = el("div", {}, this.canvas, this.palette, el("div", { class: "row" },
        el("label", {}, "Brush ", size), el("button", { class: "small", onclick: () => this.clear() }, "Clear"),
        el("label", { class: "button small", for: "mask-file" }, "Upload", file)));
      let last = null;
      const point = (event) => {
        const box = this.canvas.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top].map((each) => Math.floor((each / box.width) * this.side));
      };
      this.canvas.addEventListener("pointerdown", (event) => {
        this.canvas.setPointerCapture(event.pointerId);
        last = point(event);
        this.line(last, last);
      });
      this.canvas.addEventListener("pointermove", (event) => {
        if (!last) return;
        const next = point(event);
        this.line(last, next);
        last = next;
      });
      for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => { last = null; });
      this.canvas.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (move) this.at = this.at.map((each, axis) => Math.max(0, Math.min(this.side - 1, each + move[axis])));
        else if (event.key === " ") this.line(this.at, this.at);
        else return;
        event.preventDefault();
        this.draw(true);
      });
      this.swatches();
      this.draw();
    }
    /** Take names and colours of the classes. */
    classes(names, colours) {
      if (!names.length || (JSON.stringify(names) === JSON.stringify(this.names) && JSON.stringify(colours) === JSON.stringify(this.colours))) return;
      this.names = names;
      this.colours = colours;
      this.swatches();
      this.draw();
    }
    /** Take the size and the number of classes of a generator; what was drawn stays where it can. */
    resize(side, count) {
      if (count !== this.count) { this.count = count; this.chosen = Math.min(1, count - 1); this.ids = this.ids.map((id) => Math.min(id, count - 1)); }
      if (side !== this.side) {
        const before = this.ids;
        const was = this.side;
        this.ids = Uint8Array.from({ length: side * side }, (_, at) => before[Math.floor((Math.floor(at / side) * was) / side) * was + Math.floor(((at % side) * was) / side)]);
        this.side = side;
        this.at = [side >> 1, side >> 1];
      }
      while (this.names.length < count) this.names.push(`class ${this.names.length}`);
      while (this.colours.length < count) this.colours.push(`#${Math.round((255 * this.colours.length) / Math.max(1, count - 1)).toString(16).padStart(2, "0").repeat(3)}`);
      this.swatches();
      this.draw();
    }
    swatches() {
      fill(this.palette, Array.from({ length: this.count }, (_, id) => {
        const patch = el("i");
        patch.style.background = this.colours[id];
        return el("button", { class: "small", "aria-pressed": String(id === this.chosen), onclick: () => { this.chosen = id; this.swatches(); } }, patch, this.names[id]);
      }));
    }
    line([x0, y0], [x1, y1]) {
      const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
      const radius = (this.brush * this.side) / 64;
      for (let step = 0; step <= steps; step += 1) {
        const x = x0 + ((x1 - x0) * step) / steps;
        const y = y0 + ((y1 - y0) * step) / steps;
        for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(this.side - 1, y + radius); row += 1) {
          for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(this.side - 1, x + radius); column += 1) {
            if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2) this.ids[row * this.side + column] = this.chosen;
          }
        }
      }
      this.draw();
    }
    clear() { this.ids.fill(0); this.draw(); }
    draw(cursor = false) {
      this.canvas.width = this.canvas.height = this.side;
      const pen = this.canvas.getContext("2d");
      const picture = pen.createImageData(this.side, this.side);
      const colours = this.colours.map(rgb);
      this.ids.forEach((id, at) => picture.data.set([...colours[id], 255], at * 4));
      pen.putImageData(picture, 0, 0);
      if (cursor) { pen.fillStyle = "#e11d48"; pen.fillRect(...this.at, 1, 1); }
    }
    /** Read a picture: class ids where its greys are all ids, else the class with the nearest colour. */
    async load(source) {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = el("canvas", { width: this.side, height: this.side });
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.imageSmoothingEnabled = false;
      pen.drawImage(image, 0, 0, this.side, this.side);
      const { data } = pen.getImageData(0, 0, this.side, this.side);
      const colours = this.colours.slice(0, this.count).map(rgb);
      let plainIds = true;
      let anything = false;
      for (let at = 0; at < data.length; at += 4) {
        plainIds = plainIds && data[at] === data[at + 1] && data[at] === data[at + 2] && data[at] < this.count;
        anything = anything || data[at] > 0;
      }
      this.ids = this.ids.map((_, pixel) => {
        const seen = data.slice(pixel * 4, pixel * 4 + 3);
        if (plainIds && anything) return seen[0];
        const far = colours.map((colour) => colour.reduce((sum, each, at) => sum + (each - seen[at]) ** 2, 0));
        return far.indexOf(Math.min(...far));
      });
      this.draw();
    }
    /** Return the ids in base64. */
    base64() {
      let text = "";
      for (let at = 0; at < this.ids.length; at += 8192) text += String.fromCharCode(...this.ids.subarray(at, at + 8192));
      return btoa(text);
    }
  };
})();

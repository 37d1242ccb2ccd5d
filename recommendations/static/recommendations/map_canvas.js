// Draws tracks as dots on a canvas. Chart.js has no zoom, search or dimming for thousands of points without plugins.

const HOVER_PIXELS = 12; // from the pointer to a dot it points at
const MAX_LABELS = 12; // titles of marked tracks; more would overlap

export class MapCanvas {
  #view = { zoom: 1, x: 0, y: 0 };
  #shown = { tag: undefined, marked: [], highlighted: null };
  #frame = 0;

  /** tracks: with their position `at` from -1 to 1, the most popular first; tags: the tags that have a colour of their own. */
  constructor(canvas, tracks, tags) {
    this.canvas = canvas;
    const most = Math.max(...tracks.map(({ listeners }) => listeners), 1);
    this.dots = tracks.map((track) => ({
      track,
      tag: tags.includes(track.tag) ? tags.indexOf(track.tag) : null,
      radius: 2 + 3.5 * Math.sqrt(track.listeners / most),
    })).reverse();
    new ResizeObserver(() => this.#draw()).observe(canvas);
    new MutationObserver(() => this.#draw()).observe(document.documentElement, { attributeFilter: ["class"] });
  }

  showTag(tag) { this.#shown.tag = tag; this.#requestDraw(); }
  mark(tracks) { this.#shown.marked = tracks; this.#requestDraw(); }
  highlight(track) { if (track !== this.#shown.highlighted) { this.#shown.highlighted = track; this.#requestDraw(); } }
  reset() { this.#view = { zoom: 1, x: 0, y: 0 }; this.#requestDraw(); }
  move(x, y) { this.#view.x += x; this.#view.y += y; this.#requestDraw(); }

  /** Zoom in by `factor` around a point of the canvas, by default its centre. */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const view = this.#view;
    const zoom = Math.min(60, Math.max(0.5, view.zoom * factor));
    const [dx, dy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    view.x = dx - ((dx - view.x) * zoom) / view.zoom;
    view.y = dy - ((dy - view.y) * zoom) / view.zoom;
    view.zoom = zoom;
    this.#requestDraw();
  }

  nearest(x, y) {
    let [nearest, shortest] = [null, HOVER_PIXELS];
    for (const dot of this.dots) {
      if (!this.#isShown(dot)) continue;
      const [dotX, dotY] = this.#position(dot.track);
      const distance = Math.hypot(dotX - x, dotY - y);
      if (distance <= shortest) [nearest, shortest] = [dot.track, distance];
    }
    return nearest;
  }

  #isShown({ tag }) { return this.#shown.tag === undefined || this.#shown.tag === tag; }

  #position({ at: [x, y] }) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const unit = (Math.min(width, height) / 2 - 16) * this.#view.zoom;
    return [width / 2 + this.#view.x + x * unit, height / 2 + this.#view.y - y * unit];
  }

  /** Draw at most once per animation frame. */
  #requestDraw() {
    this.#frame ||= requestAnimationFrame(() => { this.#frame = 0; this.#draw(); });
  }

  #draw() {
    const { canvas } = this;
    const pixelRatio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * pixelRatio;
    canvas.height = canvas.clientHeight * pixelRatio;
    const pen = canvas.getContext("2d");
    pen.scale(pixelRatio, pixelRatio);
    const style = getComputedStyle(canvas);
    const colours = Array.from({ length: 10 }, (_, n) => style.getPropertyValue(`--tag-${n}`));
    const [rest, ink, ground] = ["--tag-rest", "--q-strong", "--q-ground"].map((name) => style.getPropertyValue(name));
    const dotScale = Math.min(2.5, Math.sqrt(this.#view.zoom));
    const dimmed = this.dots.filter((dot) => !this.#isShown(dot));
    const shown = this.dots.filter((dot) => this.#isShown(dot));
    for (const dot of [...dimmed, ...shown.filter(({ tag }) => tag === null), ...shown.filter(({ tag }) => tag !== null)]) {
      pen.globalAlpha = !this.#isShown(dot) ? 0.1 : dot.tag === null ? 0.45 : 0.8;
      pen.fillStyle = dot.tag === null ? rest : colours[dot.tag];
      disc(pen, this.#position(dot.track), dot.radius * dotScale);
      pen.fill();
    }
    pen.globalAlpha = 1;
    this.#drawMarks(pen, ink, ground);
  }

  #drawMarks(pen, ink, ground) {
    const { marked, highlighted } = this.#shown;
    Object.assign(pen, { strokeStyle: ink, fillStyle: ink, lineWidth: 1.5, lineJoin: "round", font: "500 12px Inter, sans-serif" });
    for (const track of highlighted ? [...marked, highlighted] : marked) {
      disc(pen, this.#position(track), track === highlighted ? 8 : 6);
      pen.stroke();
    }
    for (const track of marked.length > MAX_LABELS ? [] : marked) {
      const [x, y] = this.#position(track);
      Object.assign(pen, { strokeStyle: ground, lineWidth: 4 });
      pen.strokeText(track.title, x + 12, y + 4);
      pen.fillText(track.title, x + 12, y + 4);
    }
  }
}

function disc(pen, [x, y], radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
}

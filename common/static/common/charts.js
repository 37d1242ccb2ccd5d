// Draws the charts of `common.charts` with Chart.js, which the admin theme loads on every page.

const { Chart } = window;
const BAND_OPACITY = 0.14;
const pixel = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
let charts = [];
Chart.defaults.font.family = "Inter, sans-serif";

/** The value of a CSS variable as rgba(): the theme's colours are in notations that Chart.js cannot parse. */
function color(canvas, name, opacity = 1) {
  pixel.fillStyle = getComputedStyle(canvas).getPropertyValue(`--${name}`);
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pixel.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}

function datasets(canvas, { series, divisor }) {
  const scaled = (values) => values.map((value) => (value === null ? null : value / divisor));
  const lines = series.map(({ label, values, color: name, dashed, points }) => ({
    label,
    data: scaled(values),
    borderColor: color(canvas, name),
    borderDash: dashed ? [6, 4] : [],
    borderWidth: 2,
    pointStyle: points.map(([shape]) => shape),
    pointRadius: points.map(([, radius]) => radius),
    pointHoverRadius: points.map(([, radius]) => radius + 2),
    pointBorderColor: points.map(([, , point]) => color(canvas, point)),
    pointBackgroundColor: points.map(([, , point, filled]) => color(canvas, filled ? point : "q-ground")),
    pointHoverBorderColor: points.map(([, , point]) => color(canvas, point)),
    pointHoverBackgroundColor: points.map(([, , point, filled]) => color(canvas, filled ? point : "q-ground")),
    pointBorderWidth: 2,
  }));
  // A band is the area between two invisible lines. Short dashes at its ends show the interval of a point without neighbours.
  const bands = series.filter(({ low }) => low.length).flatMap(({ low, high, color: name }) => [high, low].map((bounds, n) => ({
    data: scaled(bounds),
    borderWidth: 0,
    fill: n === 0 ? "+1" : false,
    backgroundColor: color(canvas, name, BAND_OPACITY),
    pointStyle: "line",
    pointRadius: bounds.length > 40 ? 0 : 3,
    pointHoverRadius: 3,
    pointBorderColor: color(canvas, name, 0.5),
    pointBorderWidth: 1,
    order: 1, // below all lines
  })));
  return [...lines, ...bands];
}

function axes(canvas, { suffix, from_zero: fromZero }) {
  const ticks = { color: color(canvas, "q-muted"), font: { size: 11 }, maxRotation: 0 };
  const number = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 3 });
  return {
    x: { grid: { display: false }, border: { color: color(canvas, "q-axis") }, offset: true, ticks: { ...ticks, autoSkipPadding: 16 } },
    y: {
      beginAtZero: fromZero,
      border: { display: false },
      grid: { color: color(canvas, "q-line") },
      ticks: { ...ticks, maxTicksLimit: 6, callback: (value) => number.format(value) + suffix },
    },
  };
}

/** A vertical line through the point under the pointer, in all charts of the page, since they share their labels. */
const sharedCursor = {
  id: "sharedCursor",
  afterEvent(chart, { changed }) {
    if (!changed) return;
    const index = chart.getActiveElements()[0]?.index;
    for (const other of charts.filter((each) => each !== chart)) {
      other.setActiveElements(index === undefined ? [] : other.data.datasets.map((_, datasetIndex) => ({ datasetIndex, index })));
      other.draw();
    }
  },
  beforeDatasetsDraw(chart) {
    const [active] = chart.getActiveElements();
    if (!active) return;
    const { ctx, chartArea, scales, canvas } = chart;
    ctx.save();
    ctx.strokeStyle = color(canvas, "q-axis");
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(scales.x.getPixelForValue(active.index), chartArea.top);
    ctx.lineTo(scales.x.getPixelForValue(active.index), chartArea.bottom);
    ctx.stroke();
    ctx.restore();
  },
};

function tooltip(canvas, { tooltips }) {
  return {
    backgroundColor: color(canvas, "q-ground"),
    borderColor: color(canvas, "q-line"),
    borderWidth: 1,
    padding: 12,
    displayColors: false,
    titleColor: color(canvas, "q-strong"),
    footerColor: color(canvas, "q-text"),
    footerFont: { weight: "normal" },
    callbacks: {
      title: ([item]) => tooltips[item.dataIndex][0],
      label: () => "",
      footer: ([item]) => tooltips[item.dataIndex].slice(1),
    },
    filter: (item, index) => index === 0, // the lines of the tooltip belong to the label, not to a dataset
  };
}

function create(canvas) {
  const config = JSON.parse(canvas.dataset.chart);
  return new Chart(canvas, {
    type: "line",
    data: { labels: config.labels, datasets: datasets(canvas, config) },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: axes(canvas, config),
      plugins: { legend: { display: false }, tooltip: tooltip(canvas, config) },
      onClick: (event, [active]) => { if (active && config.links.length) location.assign(config.links[active.index]); },
    },
    plugins: [sharedCursor],
  });
}

function drawAll() {
  charts.forEach((chart) => chart.destroy());
  charts = [...document.querySelectorAll("canvas[data-chart]")].map(create);
  for (const { canvas } of charts) canvas.classList.toggle("leads-on", JSON.parse(canvas.dataset.chart).links.length > 0);
}

drawAll();
// The theme is a class of the root element, and colours are resolved when a chart is created.
new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["class"] });

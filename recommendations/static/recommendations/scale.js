// From a number to a height, with round numbers beside the axis.

const UNITS = {
  number: () => ({ per: 1, text: (value) => new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 3 }).format(value) }),
  share: () => ({ per: 0.01, text: (value) => `${round(value)} %` }),
  seconds: (most) => (most >= 7200 ? named(3600, "h") : most >= 120 ? named(60, "min") : named(1, "s")),
  bytes: (most) => (most >= 2e9 ? named(1e9, "GB") : named(1e6, "MB")),
};
const named = (per, name) => ({ per, text: (value) => `${round(value)} ${name}` });
const round = (value) => Number(value.toFixed(6));

/** at: the height of a value between `bottom` and `top`, in pixels; ticks: values to write there, and how. */
export function scale(chart, versions, bottom, top) {
  const keys = chart.series.flatMap(({ key, low, high }) => [key, low, high]).filter(Boolean);
  const values = versions.flatMap((version) => keys.map((key) => version.values[key])).filter((value) => value !== null);
  const most = Math.max(...values, 0) || 1;
  const { per, text } = UNITS[chart.form](most);
  const lowest = from(chart, Math.min(...values, most), most);
  const step = niceStep((most - lowest) / per / 4) * per;
  const first = Math.floor(lowest / step + 1e-9) * step;
  const last = Math.ceil(most / step - 1e-9) * step;
  const count = Math.round((last - first) / step);
  return {
    at: (value) => bottom - ((value - first) / (last - first)) * (bottom - top),
    ticks: Array.from({ length: count + 1 }, (_, n) => ({ value: first + n * step, text: text((first + n * step) / per) })),
  };
}

/** Amounts are drawn from nothing; quality from where it begins, for there a tenth matters. */
function from(chart, least, most) {
  return chart.name === "quality" && least > 0.3 * most && least < most ? least - 0.1 * (most - least) : Math.min(0, least);
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
}

// The time axis of the panels that are drawn here.

import { dateTimeFormat, GrafanaTheme2, TimeRange, TimeZone } from '@grafana/data';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  ...[5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 3, 7, 14, 30, 90].map((days) => days * DAY),
];
const BETWEEN = 80; // pixels, at least
const EDGE = 20; // pixels that half a label needs

export const AXIS_HEIGHT = 22;

export interface Span {
  from: number;
  to: number;
}

export function span(range: TimeRange): Span {
  return { from: range.from.valueOf(), to: range.to.valueOf() };
}

export function TimeAxis(props: { span: Span; left: number; width: number; top: number; timeZone: TimeZone; theme: GrafanaTheme2 }) {
  const { span, left, width, top, timeZone, theme } = props;
  const length = span.to - span.from;
  const step = STEPS.find((one) => (one / length) * width >= BETWEEN) ?? STEPS[STEPS.length - 1];
  const format = step >= DAY ? 'MM/DD' : step >= MINUTE ? (length > DAY ? 'MM/DD HH:mm' : 'HH:mm') : 'HH:mm:ss';
  const ticks = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) {
    ticks.push(at);
  }
  return (
    <g fontSize={12} fill={theme.colors.text.primary}>
      {ticks.map((at) => {
        const x = left + ((at - span.from) / length) * width;
        const cut = x + EDGE > left + width;
        return (
          <text key={at} x={cut ? left + width : x} y={top + 16} textAnchor={cut ? 'end' : 'middle'}>
            {dateTimeFormat(at, { timeZone, format })}
          </text>
        );
      })}
    </g>
  );
}

// A name cut to fit, with its whole as the browser's tooltip.
export function Clipped(props: { text: string; width: number; x: number; y: number; anchor?: 'start' | 'end' | 'middle'; fill: string }) {
  const { text, width, x, y, anchor = 'start', fill } = props;
  const fits = Math.floor(width / 6.8); // pixels of a letter of 12 px Inter, on average
  const shown = text.length <= fits ? text : fits > 2 ? `${text.slice(0, fits - 1)}…` : '';
  return (
    <text x={x} y={y} textAnchor={anchor} fontSize={12} fill={fill}>
      <title>{text}</title>
      {shown}
    </text>
  );
}

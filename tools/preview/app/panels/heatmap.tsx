// Heatmap. Grafana's own panel is not published on npm; this one draws a cell for each bucket and instant
// with the colour scheme that the options name, a scale under it, and the bounds of the buckets at the side.

import { DataFrame, Field, FieldType, formattedValueToString, getFieldDisplayName, getValueFormat, PanelProps } from '@grafana/data';
import { useTheme2 } from '@grafana/ui';
// @ts-expect-error: it comes with @grafana/ui, without types
import * as chromatic from 'd3-scale-chromatic';
import { useEffect, useRef } from 'react';
import { AXIS_HEIGHT, Clipped, span, TimeAxis } from './timeAxis';
import { isEmpty, NoData } from './noData';

export const HEATMAP_DEFAULTS = {
  calculate: false,
  color: { mode: 'scheme', scheme: 'Oranges', fill: 'dark-orange', exponent: 0.5, steps: 64, reverse: false, scale: 'exponential' },
  yAxis: {},
  filterValues: { le: 1e-9 },
  legend: { show: true },
};

const SCALE_HEIGHT = 26;
const LABEL_EVERY = 16; // pixels
// Which schemes Grafana turns: these always, these on a light background, all others on a dark one.
const TURNED = /^(BrBG|PiYG|PRGn|PuOr|RdBu|RdGy|RdYlBu|RdYlGn|Spectral|Rainbow|Sinebow)$/;
const TURNED_ON_LIGHT = /^(Turbo|Cividis|Viridis|Magma|Inferno|Plasma|Warm|Cool|Cubehelix)$/;

interface Buckets {
  times: number[];
  rows: Field[]; // from the lowest bound to the highest
  names: string[];
}

// One frame with a field for each bucket, or a frame for each bucket.
function buckets(frames: DataFrame[]): Buckets | undefined {
  const times = frames[0]?.fields.find((field) => field.type === FieldType.time)?.values;
  const rows = frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number));
  const names = frames.flatMap((frame) =>
    frame.fields.filter((field) => field.type === FieldType.number).map((field) => getFieldDisplayName(field, frame, frames))
  );
  return times && rows.length > 0 ? { times, rows, names } : undefined;
}

// Share of the scale -> colour, in as many steps as the panel asks for.
function colorScale(options: any, dark: boolean): (share: number) => string {
  const name = options.scheme === 'Cubehelix' ? 'CubehelixDefault' : options.scheme;
  const scheme = chromatic[`interpolate${name}`] ?? chromatic.interpolateSpectral;
  const turned = options.reverse || TURNED.test(name) || TURNED_ON_LIGHT.test(options.scheme) !== dark;
  return (share) => {
    const step = Math.min(options.steps - 1, Math.floor(share * options.steps)) / Math.max(1, options.steps - 1);
    return scheme(turned ? 1 - step : step);
  };
}

function bound(name: string, unit: string | undefined, decimals: number | undefined): string {
  const value = Number(name);
  return unit && Number.isFinite(value) ? formattedValueToString(getValueFormat(unit)(value, decimals)) : name;
}

export function HeatmapPanel(props: PanelProps) {
  const { data, options, width, height, timeRange, timeZone, fieldConfig } = props;
  const theme = useTheme2();
  const canvas = useRef<HTMLCanvasElement>(null);
  const found = buckets(data.series);
  const shown = span(timeRange);
  const color = colorScale({ ...HEATMAP_DEFAULTS.color, ...options.color }, theme.isDark);
  const values = found?.rows.flatMap((row) => row.values as number[]).filter((value) => value > (options.filterValues?.le ?? 0)) ?? [];
  const most = options.color?.max ?? Math.max(...values, 0);
  const least = options.color?.min ?? 0;
  const names = (found?.names ?? []).map((name) => bound(name, options.yAxis?.unit, options.yAxis?.decimals));
  const left = Math.min(width * 0.3, Math.max(...names.map((name) => name.length), 3) * 6.8 + 10);
  const wide = Math.max(1, width - left - 4);
  const tall = Math.max(1, height - AXIS_HEIGHT - (options.legend?.show ? SCALE_HEIGHT : 0));

  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context || !found) {
      return;
    }
    context.clearRect(0, 0, wide, tall);
    const steps = found.times.slice(1).map((at, index) => at - found.times[index]).sort((a, b) => a - b);
    const cellWidth = Math.max(1, ((steps[0] ?? shown.to - shown.from) / (shown.to - shown.from)) * wide);
    const cellHeight = tall / found.rows.length;
    const exponent = options.color?.scale === 'linear' ? 1 : (options.color?.exponent ?? 0.5);
    found.rows.forEach((row, index) => {
      found.times.forEach((at, column) => {
        const value = row.values[column];
        if (value === null || !(value > (options.filterValues?.le ?? 0))) {
          return;
        }
        const x = ((at - shown.from) / (shown.to - shown.from)) * wide - cellWidth; // a bucket counts what came before
        context.fillStyle = color(Math.min(1, Math.max(0, (value - least) / (most - least || 1))) ** exponent);
        context.fillRect(x + 0.5, tall - (index + 1) * cellHeight + 0.5, Math.max(1, cellWidth - 1), Math.max(1, cellHeight - 1));
      });
    });
  });

  if (isEmpty(data) || !found || values.length === 0) {
    return <NoData noValue={fieldConfig.defaults.noValue} />;
  }
  const every = Math.ceil((names.length * LABEL_EVERY) / tall);
  const swatches = Array.from({ length: 32 }, (_, index) => index / 31);
  const unit = options.cellValues?.unit ?? fieldConfig.defaults.unit ?? 'short';
  const said = (value: number) => formattedValueToString(getValueFormat(unit)(value));
  return (
    <div style={{ position: 'relative', width, height }}>
      <canvas ref={canvas} width={wide} height={tall} style={{ position: 'absolute', left, top: 0 }} />
      <svg width={width} height={height} style={{ position: 'absolute' }} role="img" aria-label="heatmap">
        {names.map((name, index) =>
          index % every === 0 ? (
            <Clipped
              key={index}
              text={name}
              width={left}
              x={left - 6}
              y={Math.max(10, tall - ((index + 1) / names.length) * tall + 4)}
              anchor="end"
              fill={theme.colors.text.primary}
            />
          ) : null
        )}
        <TimeAxis span={shown} left={left} width={wide} top={tall} timeZone={timeZone} theme={theme} />
        {options.legend?.show && (
          <g fontSize={11} fill={theme.colors.text.secondary}>
            {swatches.map((share) => (
              <rect key={share} x={left + share * 160} y={height - 12} width={6} height={8} fill={color(share)} />
            ))}
            <text x={left - 6} y={height - 4} textAnchor="end">{said(least)}</text>
            <text x={left + 174} y={height - 4}>{said(most)}</text>
          </g>
        )}
      </svg>
    </div>
  );
}

// Prometheus' answers as Grafana's frames, shaped as its own Prometheus data source shapes them.

import { DataFrame, Field, FieldType, toDataFrame } from '@grafana/data';
import type { Target } from './board';

export type Metric = Record<string, string>;

export interface Series {
  metric: Metric;
  values: Array<[number, string]>; // seconds, number as text
}

const NUMBERS: Record<string, number> = { '+Inf': Infinity, Inf: Infinity, '-Inf': -Infinity };

function number(text: string): number {
  return NUMBERS[text] ?? Number(text);
}

export function legend(format: string, metric: Metric): string {
  return format.replace(/\{\{\s*([\w.-]+)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
}

function described(metric: Metric): string {
  const labels = Object.entries(metric).filter(([label]) => label !== '__name__');
  const inner = labels.map(([label, value]) => `${label}="${value}"`).join(', ');
  return `${metric.__name__ ?? ''}{${inner}}`;
}

// undefined leaves the name to Grafana, which then shows the labels that differ.
function seriesName(target: Target, metric: Metric): string | undefined {
  if (target.legendFormat === '__auto') {
    return Object.keys(metric).length === 0 ? target.expr : undefined;
  }
  return target.legendFormat ? legend(target.legendFormat, metric) : described(metric);
}

function times(series: Series): number[] {
  return series.values.map(([seconds]) => seconds * 1000);
}

export interface Grid {
  start: number; // seconds
  end: number;
  step: number;
}

// The series with a point at every step: null where it has none, so that its line has a gap there.
function onGrid(series: Series, { start, end, step }: Grid): Array<[number, number | null]> {
  const known = new Map(series.values.map(([at, text]) => [at, number(text)]));
  const count = Math.floor((end - start) / step) + 1;
  return Array.from({ length: count }, (_, index) => start + index * step).map((at) => [at * 1000, known.get(at) ?? null]);
}

// Of a range query, whose grid is given, or of an instant one.
export function seriesFrames(target: Target, result: Series[], grid?: Grid): DataFrame[] {
  return result.map((series) => {
    const points = grid ? onGrid(series, grid) : series.values.map(([at, text]) => [at * 1000, number(text)]);
    const name = seriesName(target, series.metric);
    return toDataFrame({
      refId: target.refId,
      name,
      fields: [
        { name: 'Time', type: FieldType.time, values: points.map(([at]) => at), config: { interval: grid && grid.step * 1000 } },
        {
          name: 'Value',
          type: FieldType.number,
          labels: series.metric,
          values: points.map(([, value]) => value),
          config: name === undefined ? {} : { displayNameFromDS: name },
        },
      ],
    });
  });
}

// One row for each value, one column for each label; the value's column carries the query's letter when
// the panel has several table queries.
export function tableFrame(target: Target, result: Series[], several: boolean): DataFrame {
  if (result.length === 0) {
    return toDataFrame({ refId: target.refId, fields: [] });
  }
  const labels = [...new Set(result.flatMap((series) => Object.keys(series.metric)))].sort();
  const rows = result.flatMap((series) => series.values.map((value) => ({ metric: series.metric, value })));
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map((row) => row.value[0] * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: label === 'le' ? FieldType.number : FieldType.string,
        config: { filterable: true },
        values: rows.map((row) => (label === 'le' ? number(row.metric.le ?? '') : (row.metric[label] ?? ''))),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: rows.map((row) => number(row.value[1])),
      },
    ],
  });
}

// Cumulative buckets become the count of each bucket: one frame, a field for each bound.
export function heatmapFrame(target: Target, result: Series[]): DataFrame {
  const sorted = [...result].sort((a, b) => number(a.metric.le ?? '') - number(b.metric.le ?? ''));
  const instants = [...new Set(sorted.flatMap(times))].sort((a, b) => a - b);
  const cumulated = sorted.map((series) => new Map(series.values.map(([s, text]) => [s * 1000, number(text)])));
  const fields = sorted.map((series, row) => ({
    name: series.metric.le ?? described(series.metric),
    type: FieldType.number,
    labels: series.metric,
    config: { displayNameFromDS: series.metric.le },
    values: instants.map((at) => {
      const here = cumulated[row].get(at);
      const below = row === 0 ? 0 : (cumulated[row - 1].get(at) ?? 0);
      return here === undefined ? null : Math.max(0, here - below);
    }),
  }));
  return toDataFrame({
    refId: target.refId,
    fields: [{ name: 'Time', type: FieldType.time, values: instants }, ...fields],
  });
}

export function numberFields(frames: DataFrame[]): Field[] {
  return frames.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number));
}

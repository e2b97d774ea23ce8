// A Prometheus data source for the browser: range and instant queries, variables and annotations.

import {
  AnnotationEvent,
  AnnotationQuery,
  DataFrame,
  DataQueryRequest,
  DataSourceApi,
  DataSourceInstanceSettings,
  DataSourceJsonData,
  LoadingState,
  MetricFindValue,
  PluginType,
  rangeUtil,
  ScopedVars,
} from '@grafana/data';
import { sceneGraph, SceneObject, VizPanel } from '@grafana/scenes';
import { from, Observable, of } from 'rxjs';
import type { Annotation, Target } from './board';
import { heatmapFrame, legend, Metric, Series, seriesFrames, tableFrame } from './frames';
import { log, problem } from './log';
import { parameters } from './parameters';

const MOST_POINTS = 11000; // of one series; Prometheus refuses more
const ANNOTATION_STEP = '60s'; // Grafana's default

const meta = {
  id: 'prometheus',
  name: 'Prometheus',
  type: PluginType.datasource,
  annotations: true,
  metrics: true,
  info: { author: { name: '' }, description: '', links: [], logos: { large: '', small: '' }, screenshots: [], updated: '', version: '' },
  module: '',
  baseUrl: '',
};

export const settings = {
  id: 1,
  uid: 'prometheus',
  name: 'Prometheus',
  type: 'prometheus',
  access: 'direct',
  isDefault: true,
  readOnly: true,
  jsonData: {},
  meta,
} as unknown as DataSourceInstanceSettings<DataSourceJsonData>;

// As Grafana's own: a variable that can hold several values is a regular expression.
function promql(value: string | string[], variable: { multi?: boolean; includeAll?: boolean }): string {
  if (!variable.multi && !variable.includeAll) {
    return String(value).replace(/\\/g, '\\\\').replace(/'/g, "\\\\'");
  }
  const values = (Array.isArray(value) ? value : [value]).map((text) =>
    String(text).replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&')
  );
  return values.length === 1 ? values[0] : `(${values.join('|')})`;
}

function owner(scopedVars: ScopedVars | undefined): SceneObject | undefined {
  return (scopedVars?.__sceneObject?.value as { valueOf(): SceneObject } | undefined)?.valueOf();
}

function where(object: SceneObject | undefined): string {
  for (let at = object; at; at = at.parent) {
    if (at instanceof VizPanel) {
      return sceneGraph.interpolate(at, at.state.title);
    }
  }
  const name = (object?.state as { name?: string } | undefined)?.name;
  return name ? `variable or annotation ${name}` : 'dashboard';
}

interface Answer {
  resultType: string;
  result: Array<{ metric: Metric; value?: [number, string]; values?: Array<[number, string]> }>;
}

export class PrometheusDataSource extends DataSourceApi<Target & { refId: string }> {
  interval = parameters.scrapeInterval;

  annotations = {
    prepareAnnotation: (annotation: Annotation) => ({
      ...annotation,
      target: {
        refId: 'Anno',
        expr: annotation.expr ?? annotation.target?.expr,
        interval: annotation.step || annotation.target?.interval || ANNOTATION_STEP,
        range: true,
      },
    }),
    prepareQuery: (annotation: AnnotationQuery) => annotation.target,
    processEvents: (annotation: Annotation, frames: DataFrame[]) => of(events(annotation, frames)),
  } as never;

  constructor() {
    super(settings);
  }

  query(request: DataQueryRequest<Target>): Observable<{ data: DataFrame[]; state: LoadingState }> {
    return from(this.run(request));
  }

  private async run(request: DataQueryRequest<Target>) {
    const targets = request.targets.filter((target) => !target.hide && target.expr);
    const severalTables = targets.filter((target) => target.format === 'table').length > 1;
    const frames = await Promise.all(targets.map((target) => this.one(request, target, severalTables)));
    return { data: frames.flat(), state: LoadingState.Done };
  }

  private async one(request: DataQueryRequest<Target>, target: Target, severalTables: boolean): Promise<DataFrame[]> {
    const scrape = rangeUtil.intervalToSeconds(target.interval || this.interval);
    const seconds = (request.range.to.valueOf() - request.range.from.valueOf()) / 1000;
    const step = Math.max(
      (request.intervalMs / 1000) * (target.intervalFactor ?? 1),
      scrape,
      Math.ceil(seconds / MOST_POINTS)
    );
    const rateInterval = `${Math.round(Math.max(step + scrape, 4 * scrape))}s`;
    const scope = {
      ...request.scopedVars,
      __interval: { text: `${step}s`, value: `${step}s` },
      __interval_ms: { text: String(step * 1000), value: step * 1000 },
      __rate_interval: { text: rateInterval, value: rateInterval },
    };
    const object = owner(request.scopedVars)!;
    const expr = sceneGraph.interpolate(object, target.expr!, scope, promql as never);
    const end = request.range.to.valueOf() / 1000;
    const ranged = target.range ?? !target.instant;
    const span = {
      start: Math.floor(request.range.from.valueOf() / 1000 / step) * step,
      end: Math.floor(end / step) * step,
      step,
    };
    const series: Series[] = [];
    if (target.instant) {
      series.push(...(await this.evaluate(where(object), 'query', expr, { time: end })));
    }
    if (ranged) {
      series.push(...(await this.evaluate(where(object), 'query_range', expr, span)));
    }
    if (target.format === 'table') {
      return [tableFrame(target, series, severalTables)];
    }
    return target.format === 'heatmap'
      ? [heatmapFrame(target, series)]
      : seriesFrames(target, series, ranged ? span : undefined);
  }

  private async evaluate(from: string, path: string, expr: string, times: Record<string, number>): Promise<Series[]> {
    const record = { where: from, expr, answers: -1 };
    log.queries.push(record);
    const numbers = Object.entries(times).map(([name, value]) => [name, String(value)]);
    const answer = (await this.get(from, path, [['query', expr], ...numbers])) as Answer;
    if (answer.resultType === 'scalar') {
      answer.result = [{ metric: {}, value: answer.result as never }];
    }
    record.answers = answer.result.length;
    return answer.result.map((one) => ({ metric: one.metric, values: one.values ?? [one.value!] }));
  }

  private async get(from: string, path: string, query: string[][]): Promise<unknown> {
    log.pending += 1;
    try {
      const response = await fetch(`${parameters.prometheus}/api/v1/${path}?${new URLSearchParams(query)}`);
      const body = await response.json();
      if (body.status !== 'success') {
        throw new Error(`${body.error ?? response.statusText} in ${query.map(([, value]) => value)[0]}`);
      }
      return body.data;
    } catch (error) {
      problem(from, error);
      throw error;
    } finally {
      log.pending -= 1;
    }
  }

  async metricFindQuery(query: string | { query: string }, options: any): Promise<MetricFindValue[]> {
    const object = owner(options?.scopedVars)!;
    const text = typeof query === 'string' ? query : query.query;
    const expr = sceneGraph.interpolate(object, text, options.scopedVars, promql as never);
    const record = { where: where(object), expr, answers: -1 };
    log.queries.push(record);
    const values = await this.find(record.where, expr, options.range);
    record.answers = values.length;
    return values.map((value) => ({ text: value, value }));
  }

  private async find(from: string, expr: string, range: any): Promise<string[]> {
    const span = [
      ['start', String(range.from.valueOf() / 1000)],
      ['end', String(range.to.valueOf() / 1000)],
    ];
    const labelValues = /^label_values\((?:(.+),\s*)?([\w$]+)\)\s*$/.exec(expr);
    if (labelValues) {
      const [, selector, label] = labelValues;
      const match = selector ? [['match[]', selector]] : [];
      return (await this.get(from, `label/${label}/values`, [...match, ...span])) as string[];
    }
    const result = /^query_result\((.+)\)\s*$/s.exec(expr);
    if (result) {
      const answer = (await this.get(from, 'query', [
        ['query', result[1]],
        ['time', span[1][1]],
      ])) as Answer;
      return answer.result.map(({ metric, value }) => {
        const labels = Object.entries(metric).filter(([label]) => label !== '__name__');
        const inner = labels.map(([label, text]) => `${label}="${text}"`).join(',');
        return `${metric.__name__ ?? ''}{${inner}} ${value![1]} ${value![0] * 1000}`;
      });
    }
    if (/^label_names\(\)\s*$/.test(expr)) {
      return (await this.get(from, 'labels', span)) as string[];
    }
    throw new Error(`the variable's query ${expr} is not one of label_values, label_names, query_result`);
  }

  async testDatasource() {
    return { status: 'success', message: '' };
  }
}

// Values above zero are events; those no further apart than the step that was asked for are one region.
function events(annotation: Annotation, frames: DataFrame[]): AnnotationEvent[] {
  const tagKeys = (annotation.tagKeys ?? '').split(',');
  const found: AnnotationEvent[] = [];
  for (const frame of frames) {
    const [time, value] = frame.fields;
    const step = time?.config.interval ?? 0;
    const labels = value?.labels ?? {};
    let open: AnnotationEvent | undefined;
    value?.values.forEach((number: number, row: number) => {
      if (!(number > 0)) {
        return;
      }
      const at = annotation.useValueForTime ? Math.floor(number) : time.values[row];
      if (open && open.timeEnd! + step >= at) {
        open.timeEnd = at;
        return;
      }
      open = {
        time: at,
        timeEnd: at,
        title: legend(annotation.titleFormat ?? '', labels),
        text: legend(annotation.textFormat ?? '', labels),
        tags: Object.keys(labels).filter((label) => tagKeys.includes(label)).map((label) => labels[label]),
      };
      found.push(open);
    });
  }
  return found;
}

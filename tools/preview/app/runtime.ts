// What a Grafana server would give to its packages: services, registries, one data source.

import {
  createTheme,
  DataSourceApi,
  GrafanaTheme2,
  LoadingState,
  locationUtil,
  standardEditorsRegistry,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
} from '@grafana/data';
import * as runtime from '@grafana/runtime';
import { catchError, map, merge, Observable, of } from 'rxjs';
import { standardFieldConfig } from './fieldConfig';
import { parameters } from './parameters';
import { PrometheusDataSource, settings } from './prometheus';

export const theme: GrafanaTheme2 = createTheme({ colors: { mode: parameters.theme } });

function runRequest(source: DataSourceApi, request: any): Observable<any> {
  const loading = { state: LoadingState.Loading, series: [], timeRange: request.range, request };
  const answer = (source.query(request) as Observable<any>).pipe(
    map((response) => ({ ...loading, state: LoadingState.Done, series: response.data })),
    catchError((error: Error) =>
      of({ ...loading, state: LoadingState.Error, error, errors: [{ message: error.message }] })
    )
  );
  return merge(of(loading), answer);
}

function nothing(): void {}

export function start(): void {
  const config = runtime.config as any;
  config.theme2 = theme;
  config.bootData = { user: {}, settings: {} };
  standardEditorsRegistry.setInit(() => []);
  standardFieldConfigEditorRegistry.setInit(standardFieldConfig);
  const transformers = [...new Map(Object.values(standardTransformers).map((one: any) => [one.id, one])).values()];
  standardTransformersRegistry.setInit(() =>
    transformers.map((one: any) => ({ id: one.id, name: one.name, transformation: async () => one }) as any)
  );
  locationUtil.initialize({ config, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: (() => ({})) as any });

  const source = new PrometheusDataSource();
  runtime.setDataSourceSrv({
    get: async () => source,
    getList: () => [settings],
    getInstanceSettings: () => settings,
    reload: nothing,
    registerRuntimeDataSource: nothing,
  } as any);
  runtime.setRunRequest(runRequest as any);
  runtime.setTemplateSrv({
    replace: (text: string) => text,
    getVariables: () => [],
    containsTemplate: () => false,
    updateTimeRange: nothing,
  } as any);
  runtime.setPluginImportUtils({
    importPanelPlugin: async (id: string) => {
      throw new Error(`the preview draws no panel of type ${id}`);
    },
    getPanelPluginFromCache: () => undefined,
  } as any);
  runtime.setBackendSrv({ get: async () => ({}), fetch: () => of({}), datasourceRequest: async () => ({}) } as any);
  runtime.setAppEvents({ publish: nothing, getStream: () => of(), subscribe: () => ({ unsubscribe: nothing }) } as any);
  runtime.setPluginLinksHook(() => ({ links: [], isLoading: false }));
}

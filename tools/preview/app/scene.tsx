// A board's JSON as a scene: time range, variables, annotations, and the grid of panels.

import { rangeUtil } from '@grafana/data';
import {
  dataLayers,
  EmbeddedScene,
  LocalValueVariable,
  MultiValueVariable,
  SceneControlsSpacer,
  SceneDataLayerSet,
  SceneDataTransformer,
  SceneGridItem,
  SceneGridLayout,
  SceneGridRow,
  sceneGraph,
  SceneQueryRunner,
  SceneTimePicker,
  SceneTimeRange,
  SceneVariableSet,
  VariableValueSelectors,
  VizPanel,
} from '@grafana/scenes';
import type { Annotation, Board, Panel } from './board';
import { PanelLinks } from './links';
import { parameters } from './parameters';
import { Choice, expand, Section } from './repeat';
import { sceneVariable } from './variables';

// The time range of a panel with "Relative time" ("6h", or "now-1M/M"), which Grafana writes into its title.
class PanelTimeRange extends SceneTimeRange {
  static Component = ({ model }: { model: PanelTimeRange }) => (
    <span style={{ fontSize: 12, opacity: 0.7 }}>{rangeUtil.describeTextRange(model.state.from).display}</span>
  );

  static of(timeFrom: string): PanelTimeRange {
    return new PanelTimeRange({ from: rangeUtil.describeTextRange(timeFrom).from, to: 'now' });
  }
}

function local(panel: Panel): SceneVariableSet | undefined {
  const entries = Object.entries(panel.scoped ?? {});
  if (entries.length === 0) {
    return undefined;
  }
  return new SceneVariableSet({
    variables: entries.map(([name, choice]) => new LocalValueVariable({ name, value: choice.value, text: choice.text })),
  });
}

function data(panel: Panel): SceneDataTransformer | undefined {
  if (!panel.targets?.length) {
    return undefined;
  }
  return new SceneDataTransformer({
    transformations: (panel.transformations ?? []) as any,
    $data: new SceneQueryRunner({
      datasource: panel.datasource as any,
      queries: panel.targets,
      maxDataPoints: panel.maxDataPoints ?? undefined,
      maxDataPointsFromWidth: true,
      minInterval: panel.interval,
      dataLayerFilter: { panelId: panel.id ?? 0 },
    }),
  });
}

function vizPanel(panel: Panel): VizPanel {
  return new VizPanel({
    key: undefined,
    title: panel.title ?? '',
    description: panel.description,
    pluginId: panel.type,
    pluginVersion: panel.pluginVersion,
    options: panel.options ?? {},
    fieldConfig: (panel.fieldConfig ?? { defaults: {}, overrides: [] }) as any,
    displayMode: panel.transparent ? 'transparent' : 'default',
    hoverHeader: !panel.title,
    titleItems: panel.links?.length ? new PanelLinks({ links: panel.links }) : undefined,
    $timeRange: panel.timeFrom ? PanelTimeRange.of(panel.timeFrom) : undefined,
    $variables: local(panel),
    $data: data(panel),
  });
}

function gridItem(panel: Panel): SceneGridItem {
  const { x, y, w, h } = panel.gridPos;
  return new SceneGridItem({ x, y, width: w, height: h, body: vizPanel(panel) });
}

function gridChildren(section: Section): Array<SceneGridItem | SceneGridRow> {
  const { row, panels } = section;
  if (!row) {
    return panels.map(gridItem);
  }
  return [
    new SceneGridRow({
      title: row.title ?? '',
      y: row.gridPos.y,
      isCollapsed: Boolean(row.collapsed) && !parameters.expand,
      $variables: local(row),
      children: panels.map(gridItem),
    }),
  ];
}

function annotationLayer(annotation: Annotation) {
  return new dataLayers.AnnotationsDataLayer({
    name: annotation.name,
    isEnabled: annotation.enable !== false,
    isHidden: Boolean(annotation.hide),
    query: annotation as any,
  });
}

// The scene without its panels: their repeats need the variables' values.
export function frame(board: Board): EmbeddedScene {
  const annotations = (board.annotations?.list ?? []).filter((one) => !one.builtIn && one.enable !== false);
  return new EmbeddedScene({
    $timeRange: new SceneTimeRange({
      from: parameters.from || board.time?.from || 'now-6h',
      to: parameters.to || board.time?.to || 'now',
      timeZone: 'utc',
    }),
    $variables: new SceneVariableSet({ variables: (board.templating?.list ?? []).map(sceneVariable) }),
    $data: annotations.length ? new SceneDataLayerSet({ layers: annotations.map(annotationLayer) }) : undefined,
    controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({})],
    body: new SceneGridLayout({ children: [] }),
  });
}

export function variablesReady(scene: EmbeddedScene): boolean {
  const set = scene.state.$variables as SceneVariableSet;
  return set.state.variables.every((variable) => !set.isVariableLoadingOrWaitingToUpdate(variable));
}

function choices(scene: EmbeddedScene, name: string): Choice[] {
  const variable = sceneGraph.lookupVariable(name, scene);
  if (!variable) {
    throw new Error(`a repeat names the variable ${name}, which the board does not have`);
  }
  if (variable instanceof MultiValueVariable) {
    if (variable.hasAllValue()) {
      return variable.state.options.map((option: { value: unknown; label: string }) => ({ value: String(option.value), text: option.label }));
    }
    const values = [variable.state.value].flat();
    const texts = [variable.state.text].flat();
    return values.map((value, index) => ({ value: String(value), text: String(texts[index]) }));
  }
  return [{ value: String(variable.getValue()), text: String(variable.getValue()) }];
}

export function fill(scene: EmbeddedScene, board: Board): void {
  const placed = expand(board.panels, (name) => choices(scene, name));
  scene.setState({ body: new SceneGridLayout({ children: placed.flatMap(gridChildren) }) });
}

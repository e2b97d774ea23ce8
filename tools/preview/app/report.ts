// What each panel came to. The driver asks for it once the page is quiet.

import { sceneGraph, EmbeddedScene, VizPanel } from '@grafana/scenes';
import { log, PanelRecord } from './log';
import { NO_DATA } from './panels/noData';

function contentOf(panel: VizPanel): HTMLElement | null {
  const item = document.querySelector(`[data-griditem-key="${panel.parent?.state.key}"]`);
  return item?.querySelector('[data-testid="data-testid panel content"]') ?? null;
}

function isDrawn(content: HTMLElement | null): boolean {
  return content !== null && (content.innerText.trim() !== '' || content.querySelector('canvas, svg, img') !== null);
}

function record(panel: VizPanel): PanelRecord {
  const data = sceneGraph.getData(panel).state.data;
  const content = contentOf(panel);
  const answers = (data?.series ?? []).reduce((sum, frame) => sum + frame.length, 0);
  return {
    title: sceneGraph.interpolate(panel, panel.state.title, undefined, 'text'),
    type: panel.state.pluginId,
    state: panel.state._pluginLoadError ?? data?.errors?.[0]?.message ?? data?.state ?? 'NotStarted',
    answers,
    drawn: isDrawn(content),
    noData: content?.querySelector(`.${NO_DATA}`) !== null || content?.innerText.trim() === 'No data',
  };
}

export function measure(scene: EmbeddedScene): () => void {
  return () => {
    log.panels = sceneGraph.findAllObjects(scene, (object) => object instanceof VizPanel)
      .filter((panel) => contentOf(panel as VizPanel) !== null)
      .map((panel) => record(panel as VizPanel));
  };
}

// Panels and rows with `repeat` become one for each chosen value; what stands below moves down.

import type { Panel } from './board';

export interface Choice {
  value: string;
  text: string;
}

export type Choices = (variable: string) => Choice[];

const COLUMNS = 24;

export interface Section {
  row?: Panel; // none above the first row
  panels: Panel[];
}

// The panels under each row, in reading order.
export function sections(panels: Panel[]): Section[] {
  const sorted = [...panels].sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  const found: Section[] = [{ panels: [] }];
  for (const panel of sorted) {
    if (panel.type === 'row') {
      found.push({ row: panel, panels: [...(panel.panels ?? [])] });
    } else {
      found[found.length - 1].panels.push(panel);
    }
  }
  return found.filter((section) => section.row || section.panels.length > 0);
}

function scoped(panel: Panel, variable: string, choice: Choice): Panel {
  return { ...panel, scoped: { ...panel.scoped, [variable]: choice } };
}

// The clones of one panel, placed: side by side up to maxPerRow, or below each other.
function clones(panel: Panel, choices: Choice[]): Panel[] {
  const { x, y, w, h } = panel.gridPos;
  const across = Math.min(panel.maxPerRow ?? 4, choices.length);
  return choices.map((choice, index) => {
    const gridPos =
      panel.repeatDirection === 'v'
        ? { x, y: y + index * h, w, h }
        : {
            x: (index % across) * Math.floor(COLUMNS / across),
            y: y + Math.floor(index / across) * h,
            w: Math.floor(COLUMNS / across),
            h,
          };
    return { ...scoped(panel, panel.repeat!, choice), gridPos };
  });
}

function repeatPanels(panels: Panel[], choices: Choices): Panel[] {
  let down = 0;
  return panels.flatMap((panel) => {
    const at = { ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + down } };
    const values = panel.repeat ? choices(panel.repeat) : [];
    if (values.length === 0) {
      return [at];
    }
    const made = clones(at, values);
    down += made[made.length - 1].gridPos.y - at.gridPos.y;
    return made;
  });
}

function bottom(section: Section): number {
  const own = section.row ? section.row.gridPos.y + 1 : 0;
  return Math.max(own, ...section.panels.map((panel) => panel.gridPos.y + panel.gridPos.h));
}

function moved(section: Section, down: number): Section {
  const shift = (panel: Panel) => ({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + down } });
  return { row: section.row && shift(section.row), panels: section.panels.map(shift) };
}

export function expand(panels: Panel[], choices: Choices): Section[] {
  const placed: Section[] = [];
  for (const section of sections(panels)) {
    const variable = section.row?.repeat;
    const values = variable ? choices(variable) : [];
    const copies =
      values.length === 0
        ? [section]
        : values.map((choice) => ({
            row: scoped(section.row!, variable!, choice),
            panels: section.panels.map((panel) => scoped(panel, variable!, choice)),
          }));
    for (const copy of copies) {
      const first = copy.row?.gridPos.y ?? copy.panels[0].gridPos.y;
      const above = Math.max(0, ...placed.map(bottom));
      const here = moved(copy, Math.max(0, above - first));
      placed.push({ row: here.row, panels: repeatPanels(here.panels, choices) });
    }
  }
  return placed;
}

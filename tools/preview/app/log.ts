// What happened while the board was drawn. The driver reads it as window.preview.

export interface QueryRecord {
  where: string; // panel, variable or annotation
  expr: string;
  answers: number; // series, rows or values; -1 while it runs
}

export interface Problem {
  where: string;
  text: string;
}

export interface PanelRecord {
  title: string;
  type: string;
  state: string;
  answers: number; // values in all frames after the transformations
  drawn: boolean; // the panel's frame holds text or a picture
  noData: boolean; // Grafana's own words for an empty answer are shown
}

export const log = {
  queries: [] as QueryRecord[],
  problems: [] as Problem[],
  panels: [] as PanelRecord[],
  pending: 0, // requests under way
  built: false, // the panels are in the page
  measure: () => {},
};

declare global {
  interface Window {
    preview: typeof log;
  }
}

window.preview = log;

export function problem(where: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.problems.push({ where, text: text.slice(0, 1000) });
}

window.addEventListener('error', (event) => {
  // The browser's own note that a resize observer will be called again: harmless, and not ours.
  if (!String(event.message).startsWith('ResizeObserver loop')) {
    problem('page', event.error ?? event.message);
  }
});
window.addEventListener('unhandledrejection', (event) => problem('page', event.reason));

// One board, drawn as Grafana draws it: index.html?dashboard=/dashboards/slo-overview.json&from=now-6h&var-slo=...

import '@fontsource/inter/400.css';
import '@fontsource/inter/500.css';
import '@fontsource/roboto-mono/400.css';
import 'react-grid-layout/css/styles.css';
import 'uplot/dist/uPlot.min.css';
import { ThemeContext } from '@grafana/data';
import { EmbeddedScene } from '@grafana/scenes';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';
import type { Board } from './board';
import { BoardLinks } from './links';
import { log, problem } from './log';
import { registerPanels } from './panels';
import { parameters } from './parameters';
import { measure } from './report';
import { start, theme } from './runtime';
import { fill, frame, variablesReady } from './scene';

const LOOK_AGAIN = 50; // milliseconds

function Page({ scene, board }: { scene: EmbeddedScene; board: Board }) {
  const { body, controls = [] } = scene.useState();
  return (
    <div style={{ padding: theme.spacing(2), background: theme.colors.background.canvas, minHeight: '100vh' }}>
      <h1 style={{ fontSize: theme.typography.h4.fontSize, margin: theme.spacing(0, 0, 2) }}>{board.title}</h1>
      <div style={{ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1), marginBottom: theme.spacing(2) }}>
        {controls.map((control) => (
          <control.Component key={control.state.key} model={control} />
        ))}
        <BoardLinks links={board.links ?? []} scene={scene} />
      </div>
      <body.Component model={body} />
    </div>
  );
}

async function variables(scene: EmbeddedScene): Promise<void> {
  while (!variablesReady(scene)) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  }
}

async function main(): Promise<void> {
  start();
  registerPanels();
  const board: Board = await (await fetch(parameters.dashboard)).json();
  const scene = frame(board);
  scene.activate();
  document.body.classList.add(theme.isDark ? 'theme-dark' : 'theme-light');
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <MemoryRouter>
        <Page scene={scene} board={board} />
      </MemoryRouter>
      <PortalContainer />
    </ThemeContext.Provider>
  );
  await variables(scene);
  fill(scene, board);
  log.measure = measure(scene);
  log.built = true;
}

main().catch((error) => problem('page', error));

// Draws the pages of a job in headless Chromium and writes their pictures.
//
//   node shoot.mjs < job.json > results.json
//
// job: { chromium, timezone, settle, tallest, pages: [{ url, now, width, height, out }] }; now is what the page's
// clock shows at first, in milliseconds, or null for the machine's
// results: one for each page, with what the page logged (see app/log.ts) and what its console said.

import { chromium } from 'playwright-core';
import sharp from 'sharp';

const QUIET = 1000; // milliseconds without a request under way, then the picture is taken
const COLORS = { palette: true, quality: 95, effort: 10 }; // as few colours as look the same

async function read() {
  let text = '';
  for await (const chunk of process.stdin) {
    text += chunk;
  }
  return JSON.parse(text);
}

// Until the panels stand and nothing is under way; false when that does not come in time.
async function settle(page, within) {
  const end = Date.now() + within;
  let quietSince = 0;
  while (Date.now() < end) {
    const busy = await page.evaluate(() => {
      const log = window.preview;
      return !log || !log.built || log.pending > 0 || document.fonts.status !== 'loaded';
    });
    const failed = await page.evaluate(() => window.preview?.problems.some((one) => one.where === 'page'));
    if (failed) {
      return true; // the report says what
    }
    quietSince = busy ? 0 : quietSince || Date.now();
    if (quietSince && Date.now() - quietSince >= QUIET) {
      return true;
    }
    await page.waitForTimeout(100);
  }
  return false;
}

// The page's clock runs from `now` on.
function shiftClock(now) {
  const Real = Date;
  const ahead = now - Real.now();
  globalThis.Date = class extends Real {
    constructor(...args) {
      super(...(args.length > 0 ? args : [Real.now() + ahead]));
    }
    static now() {
      return Real.now() + ahead;
    }
  };
}

async function shoot(browser, job, { url, now, width, height, out }) {
  const context = await browser.newContext({
    viewport: { width, height },
    timezoneId: job.timezone,
    locale: 'en-GB',
    reducedMotion: 'reduce',
    deviceScaleFactor: 1,
  });
  const page = await context.newPage();
  if (now !== null) {
    await page.addInitScript(shiftClock, now);
  }
  const said = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      said.push(message.text().slice(0, 500));
    }
  });
  page.on('response', (response) => {
    if (response.status() >= 400) {
      said.push(`${response.status()} for ${response.url()}`);
    }
  });
  page.on('pageerror', (error) => said.push(String(error.stack ?? error).slice(0, 1000)));
  await page.goto(url, { waitUntil: 'load' });
  const settled = await settle(page, job.settle);
  // The height grows to the content, so that nothing is cut; then the panels that follow it are drawn again.
  const tall = await page.evaluate(() => Math.ceil(document.getElementById('root').getBoundingClientRect().height));
  await page.setViewportSize({ width, height: Math.max(height, Math.min(tall, job.tallest)) });
  await settle(page, job.settle);
  await page.mouse.move(0, 0);
  const { queries, problems, panels } = await page.evaluate(() => {
    window.preview.measure();
    return window.preview;
  });
  const picture = await page.screenshot({ fullPage: true, animations: 'disabled' });
  await sharp(picture).png(COLORS).toFile(out);
  await context.close();
  return { url, width, out, settled, queries, problems, panels, console: said };
}

const job = await read();
const browser = await chromium.launch({
  executablePath: job.chromium,
  args: ['--no-sandbox', '--disable-gpu', '--font-render-hinting=none'],
});
const results = [];
try {
  for (const page of job.pages) {
    results.push(await shoot(browser, job, page));
    process.stderr.write(`drawn ${page.out}\n`);
  }
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(results));

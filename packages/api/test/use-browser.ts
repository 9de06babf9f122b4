import { mkdtemp, rm, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { missingPackages } from '@spillway/local-servers';
import { type BrowserContext, chromium, type Page, type Locator } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { pageFolder } from '../src/dashboard/dashboard-routes.ts';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** Why there is no browser to test in; undefined when there is one. CHROMIUM_PATH names another than Debian's. */
export const noBrowser: string | undefined = await missingPackages([{ name: 'chromium', file: executablePath }]);

const quiet = [
  'disable-gpu',
  'disable-quic',
  'disable-background-networking',
  'disable-component-update',
  'disable-sync',
];

/** A browser whose pages are looked after. */
export interface TestBrowser {
  /** A page without a session; another one for each call, closed after the test. */
  newPage(): Promise<Page>;
  /** Every address that a page of this test asked for. */
  readonly requested: readonly string[];
  /** What the pages of this test complained of: errors that nobody caught, refusals of the content security policy. */
  readonly complaints: readonly string[];
}

/** Gives the tests of the file one Chromium, with a profile that is thrown away. */
export function useBrowser(): TestBrowser {
  let profile: string;
  let browser: BrowserContext;
  let pages: Page[] = [];
  let requested: string[] = [];
  let complaints: string[] = [];
  beforeAll(async () => {
    profile = await mkdtemp(path.join(tmpdir(), 'spillway-chromium-'));
    browser = await chromium.launchPersistentContext(profile, {
      executablePath,
      args: ['--no-sandbox', '--no-first-run', ...quiet.map((flag) => `--${flag}`)],
      viewport: { width: 1280, height: 900 },
    });
    browser.setDefaultTimeout(10_000);
  });
  afterEach(async () => {
    await Promise.all(pages.map((page) => page.close()));
    await browser.clearCookies();
    [pages, requested, complaints] = [[], [], []];
  });
  afterAll(async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  });
  return {
    newPage: async () => {
      const page = await browser.newPage();
      pages.push(page);
      page.on('request', (request) => requested.push(request.url()));
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        if (message.text().includes('Content Security Policy')) complaints.push(message.text());
      });
      return page;
    },
    get requested() {
      return requested;
    },
    get complaints() {
      return complaints;
    },
  };
}

const run = promisify(execFile);

/** Builds the dashboard's page where it was not, or where its source is newer. */
export async function buildPage(): Promise<void> {
  const root = path.resolve(pageFolder, '../..');
  const source = path.join(root, 'page');
  const files = await readdir(source, { recursive: true });
  const inputs = [...files.map((file) => path.join(source, file)), path.join(root, '../../docs/operations.md')];
  const changed = await Promise.all(inputs.map(changedAt));
  if ((await changedAt(path.join(pageFolder, 'index.html'))) > Math.max(...changed)) return;
  await run(path.join(root, 'node_modules/.bin/vite'), ['build', '--logLevel', 'warn'], { cwd: root });
}

/** Ms since 1970; 0: it isn't there. */
async function changedAt(file: string): Promise<number> {
  const found = await stat(file).catch(() => undefined);
  return found?.mtimeMs ?? 0;
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The rules of WCAG 2.2 A and AA, and good practice, that the page breaks. */
export async function violations(page: Page): Promise<unknown> {
  await page.evaluate(axe);
  return page.evaluate(`axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html).slice(0, 3)]))`);
}

/** What the focus is on: its name, or its text. */
export const focused = (page: Page): Promise<unknown> =>
  page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.textContent');

/** Whether the page scrolls sideways. */
export const isWider = (page: Page): Promise<unknown> =>
  page.evaluate('document.documentElement.scrollWidth > document.documentElement.clientWidth');

/** Figures come every two seconds. */
export const soon = { timeout: 10_000, interval: 50 };

/** The cells of the row that begins with this, as a person reads them. */
export async function cells(page: Page, table: string, row: string): Promise<readonly string[]> {
  const found = page.getByRole('table', { name: table }).getByRole('row').filter({ hasText: row });
  return (await found.getByRole('cell').allInnerTexts()).map((text) => text.replaceAll(/\s+/gu, ' ').trim());
}

/** A panel by its title. */
export const panel = (page: Page, name: string): Locator => page.getByRole('region', { name, exact: true });

/** A figure of the strip on top. */
export const beat = (page: Page, name: string): Promise<string> =>
  page
    .locator('.summary-strip div', { has: page.getByText(name, { exact: true }) })
    .locator('dd')
    .first()
    .innerText();

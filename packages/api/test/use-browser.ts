import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { missingPackages } from '@spillway/local-servers';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';

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

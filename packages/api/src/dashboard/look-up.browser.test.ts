import { readFile } from 'node:fs/promises';
import { Redis } from 'ioredis';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { noBrowser, focused, isWider, violations, cells, panel, soon } from '../../test/use-browser.ts';
import { useDashboard, fillDashboard } from '../../test/use-dashboard.ts';

/** Half an hour off, so that a time in UTC can't pass for it. */
const ZONE = 'Asia/Kolkata';

async function inZone(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setTimezoneOverride', { timezoneId: ZONE });
}

/** The lines of the CSV file that a button gives. */
async function csvOf(page: Page, table: string): Promise<readonly string[]> {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: `CSV: ${table}`, exact: true }).click(),
  ]);
  const text = await readFile(await file.path(), 'utf8');
  return [file.suggestedFilename(), ...text.replace('\uFEFF', '').trimEnd().split('\r\n')];
}

/** Of `07:30:00 …`. */
const minutes = (text: string): number => Number(text.slice(3, 5));

async function search(page: Page, subject: string): Promise<void> {
  await page.getByRole('searchbox', { name: 'Subject' }).fill(subject);
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: `Subject ${subject}` }).waitFor();
}

describe.skipIf(noBrowser !== undefined)(
  `looking closer in Chromium${noBrowser === undefined ? '' : ` (skipped: ${noBrowser})`}`,
  () => {
    const dashboard = useDashboard();
    const connected = async (): Promise<void> =>
      expect.poll(async () => (await dashboard.api.limiter.peek('strict', 'nobody')).reason, soon).toBe('allowed');

    it('finds a subject by the keyboard, shows its windows, overrides, lists and blocks, and unblocks and resets it', async () => {
      await connected();
      await fillDashboard(dashboard.pool);
      const { limiter } = dashboard.api;
      const subject = 'user:4242';
      await limiter.live?.setOverride({ policy: 'standard', subject: 'user:*', limit: 77 });
      await limiter.live?.allow('ip:10.*');
      await limiter.consume('standard', subject, { cost: 5 });
      await limiter.block('auth', subject, { action: 'reset-password' });
      const { page } = await dashboard.logIn('admin');
      await page.getByRole('searchbox', { name: 'Subject' }).focus();
      await page.keyboard.type(subject);
      await page.keyboard.press('Enter');
      const found = page.getByRole('region', { name: `Subject ${subject}` });
      await found.getByRole('table', { name: 'Windows of the subject' }).waitFor();
      expect(await focused(page)).toBe(`Subject ${subject}`);
      const used = async (row: string) => (await cells(page, 'Windows of the subject', row)).slice(0, 4);
      expect(await used('standard')).toEqual(['default', '5 of 77', 'allowed', 'now']);
      expect(await used('auth')).toEqual(['reset-password', '–', 'blocked', 'never']);
      expect(await cells(page, 'Overrides of the subject', 'standard')).toEqual([
        'user:*',
        '77',
        'as the policy',
        'as the policy',
        'as the policy',
      ]);
      expect((await cells(page, 'Blocks of the subject', 'reset-password'))[2]).toBe('12');

      await found.getByRole('button', { name: `Unblock ${subject}, reset-password under auth` }).press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Unblock' });
      await dialog.getByLabel('Reason').fill('called us');
      await page.keyboard.press('Enter');
      await expect.poll(() => found.getByRole('button', { name: /^Unblock / }).count(), soon).toBe(0);
      expect((await limiter.peek('auth', subject, { action: 'reset-password' })).allowed).toBe(true);

      await found.getByRole('button', { name: `Reset ${subject}, default under standard` }).press('Enter');
      await page.getByRole('dialog', { name: 'Reset' }).waitFor();
      await page.keyboard.press('Enter');
      await expect.poll(() => found.innerText(), soon).toContain('Nothing is used in');
      await expect.poll(() => found.getByRole('table', { name: 'Windows' }).count(), soon).toBe(0);
      expect(await limiter.peek('standard', subject)).toMatchObject({ remaining: 77 });
      await found.getByRole('button', { name: 'Close' }).click();
      expect(await found.count()).toBe(0);
      // Who asked was the key of the session, as for any other client. No address held the subject.
      expect(dashboard.browser.requested.filter((url) => /4242|user(?::|%3A)/iu.test(url))).toEqual([]);
      expect(page.url()).not.toContain('4242');
    });

    it('tells lists and blocks of everything in words, ends the latter, and looks at an action that is asked for', async () => {
      await connected();
      const { limiter } = dashboard.api;
      await limiter.live?.allow('10.0.0.0/8');
      await limiter.live?.deny('ip:10.9.*');
      await limiter.blockEverywhere('ip:10.9.8.7');
      await limiter.consume('strict', 'user:1', { action: 'rare', cost: 2 });
      const { page } = await dashboard.logIn('admin');
      await search(page, 'ip:10.9.8.7');
      const found = page.getByRole('region', { name: 'Subject ip:10.9.8.7' });
      await expect.poll(() => found.innerText(), soon).toContain('on the deny list by ip:10.9.*');
      expect(await found.innerText()).toContain('Also on the allow list by 10.0.0.0/8');
      await found.getByRole('button', { name: 'Unblock everywhere: ip:10.9.8.7' }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Unblock everywhere' }).click();
      await expect.poll(() => found.innerText(), soon).not.toContain('Blocked under every policy');
      expect(await limiter.live?.list()).toMatchObject({ blocked: [] });

      await search(page, 'user:1');
      const other = page.getByRole('region', { name: 'Subject user:1' });
      await expect.poll(() => other.innerText(), soon).toContain('Nothing is used');
      await other.getByLabel('Action').fill('rare');
      await page.keyboard.press('Enter');
      await expect.poll(async () => (await cells(page, 'Windows of the subject', 'strict'))[0], soon).toBe('rare');
      // Asked for again it is read again.
      await limiter.consume('standard', 'user:1', { cost: 3 });
      await search(page, 'user:1');
      await expect.poll(async () => cells(page, 'Windows of the subject', 'standard'), soon).toContain('default');
    });

    it('lets a key that may only read look at a subject, a row’s too, and gives it nothing to press', async () => {
      await connected();
      await fillDashboard(dashboard.pool);
      await dashboard.api.limiter.block('strict', 'user:4815', { action: 'export' });
      const { page } = await dashboard.logIn('read');
      await page.getByRole('button', { name: 'Look up user:4815' }).first().press('Enter');
      const found = page.getByRole('region', { name: 'Subject user:4815' });
      await found.getByRole('table', { name: 'Windows of the subject' }).waitFor();
      expect(await found.locator('td.buttons').count()).toBe(0);
    });

    it('says so when Redis does not answer, and finds the subject once it does', async () => {
      await connected();
      await dashboard.api.limiter.consume('strict', 'user:1', { cost: 2 });
      const { page } = await dashboard.logIn('read');
      const redis = new Redis(dashboard.redisUrl);
      await redis.client('PAUSE', 3_000, 'ALL');
      await search(page, 'user:1');
      const found = page.getByRole('region', { name: 'Subject user:1' });
      await expect.poll(() => found.innerText(), soon).toContain('It can’t be looked up:');
      await redis.ping();
      redis.disconnect();
      await connected();
      await found.getByRole('button', { name: 'Look again' }).click();
      await expect.poll(async () => cells(page, 'Windows of the subject', 'strict'), soon).toContain('default');
    });

    it('ranks subjects by refusals and users by calls, and filters by tier and action, which the address keeps', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('read');
      const first = async (table: string): Promise<string[]> =>
        (await page.getByRole('table', { name: table }).getByRole('rowheader').allInnerTexts()).slice(0, 3);
      expect(await first('Top subjects by refusals')).toEqual([
        'key:9f2c41d07be85a63c1f0a7d4e2b98c56',
        'key:17e0ab5590c3f2d8846be1a97c20d4f3',
        'ip:203.0.113.0/24',
      ]);
      expect((await first('Top subjects by use'))[0]).toBe('user-1');
      await page.getByLabel('Tier').selectOption('auth');
      await expect.poll(() => first('Blocked subjects'), soon).toEqual(['user:4242', 'ip:203.0.113.0/24'].toReversed());
      expect(await page.locator('figcaption').allInnerTexts()).toEqual(['auth']);
      await page.getByLabel('Action').selectOption('reset-password');
      await expect.poll(() => first('Top subjects by refusals'), soon).toEqual(['user:4242']);
      await page.reload();
      await expect.poll(() => first('Blocked subjects'), soon).toEqual(['user:4242']);
      expect(await page.getByLabel('Action').inputValue()).toBe('reset-password');
      await page.getByLabel('Tier').selectOption('all');
      await page.getByLabel('Action').selectOption('all');
      await expect.poll(async () => (await first('Blocked subjects')).length, soon).toBe(3);
      expect(new URL(page.url()).search).toBe('?range=1h');
    });

    it('shows what happened to a breaker, page by page, in a dialog that Escape leaves', async () => {
      await fillDashboard(dashboard.pool);
      await dashboard.pool.query(`
        INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, failure_count, outbox_shard, outbox_epoch, outbox_seq, created_at)
        SELECT gen_random_uuid(), 'runware', 'ai_provider', 'failure', n, 0, 1, n, now() - n * interval '1 minute' FROM generate_series(1, 60) AS n;
        INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, outbox_shard, outbox_epoch, outbox_seq)
        VALUES (gen_random_uuid(), 'runware', 'other', 'failure', 0, 1, 1)`);
      const { page } = await dashboard.logIn('read');
      const name = 'History: runware, ai_provider';
      await page.getByRole('button', { name }).press('Enter');
      const dialog = page.getByRole('dialog');
      const rows = dialog.getByRole('rowheader');
      await expect.poll(() => rows.count(), soon).toBe(50);
      const opened = dialog.getByRole('row').filter({ hasText: 'opened' });
      expect(await opened.innerText()).toContain('failures HTTP 503 from api.runware.test');
      await dialog.getByRole('button', { name: 'Older' }).click();
      await expect.poll(() => rows.count(), soon).toBe(62);
      expect(await dialog.getByRole('button', { name: 'Older' }).count()).toBe(0);
      expect(await csvOf(page, 'History of runware')).toHaveLength(64);
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('Escape');
      expect(await dialog.count()).toBe(0);
      expect(await focused(page)).toBe(name);
      await page.getByRole('button', { name: 'History: partner-hooks, webhook' }).click();
      await expect.poll(() => dialog.innerText(), soon).toContain('forced partner is migrating (key)');
    });

    it('tells times as where the reader is, with UTC under the pointer', async () => {
      const at = new Date(Date.now() - 26 * 3_600_000);
      await dashboard.pool.query(
        `INSERT INTO spillway.audit_gaps (id, kind, detected_at) VALUES (gen_random_uuid(), 'dropped', $1)`,
        [at],
      );
      const page = await dashboard.open();
      await inZone(page);
      await page.getByLabel('API key').fill((await dashboard.newKey('read')).key);
      await page.keyboard.press('Enter');
      const found = panel(page, 'Gaps in the trail').locator('td time');
      const there = new Date(at.getTime() + 330 * 60_000).toISOString();
      const utc = `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
      await expect
        .poll(() => found.getAttribute('title'), soon)
        .toBe(`${there.slice(0, 16).replace('T', ' ')} (${utc})`);
      expect(await found.innerText()).toBe('1 d ago');
      const liveness = await page.evaluate(
        '["textContent", "title"].map((name) => document.querySelector(".connection-status time")[name].trim())',
      );
      const [shown, title] = z.tuple([z.string(), z.string()]).parse(liveness);
      expect(shown).toMatch(/^\d\d:\d\d:\d\d GMT\+5:30$/u);
      expect(title).toMatch(/ UTC$/u);
      expect((minutes(shown) + 30) % 60).toBe(minutes(title.slice(11)));
      const next = panel(page, 'Maintenance').locator('td small time').first();
      expect(await next.innerText()).toMatch(/:[03]\d$/u);
      expect(await next.getAttribute('title')).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/u);
    });

    it('gives each table as CSV, in UTC, with no formula in it', async () => {
      await fillDashboard(dashboard.pool);
      await dashboard.pool.query(`
        UPDATE rate_limits_v2 SET identifier = '=HYPERLINK("http://evil.test")' WHERE identifier = 'user:4242';
        INSERT INTO spillway.audit_gaps (id, kind) VALUES (gen_random_uuid(), 'dropped')`);
      const { page } = await dashboard.logIn('read');
      const [name, titles, ...rows] = await csvOf(page, 'Blocked subjects');
      expect(name).toMatch(/^spillway-blocked-subjects-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.csv$/u);
      expect(titles).toBe('"subject","tier","action","mode","blocks","refused","running","blocked_until"');
      expect(rows).toHaveLength(6);
      expect(rows).toContain(`"'=HYPERLINK(""http://evil.test"")","auth","reset-password","enforce",1,12,true,`);
      expect(rows[0]).toMatch(/"generate-content","enforce",1,48210,true,"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$/u);
      const tables = await page.evaluate('[...document.querySelectorAll("table")].map((table) => table.ariaLabel)');
      expect(tables).toHaveLength(7);
      for (const table of tables as string[]) expect((await csvOf(page, table)).length).toBeGreaterThan(2);
      expect(dashboard.browser.complaints).toEqual([]);
    });

    it('leads from each alert to its runbook, which loads nothing from other hosts', async () => {
      await dashboard.pool.query(`
        INSERT INTO spillway.alerts (rule, value, threshold) VALUES ('job_late/cron-archive-data', 9, 8), ('one_of_yours', 2, 1)`);
      const { page } = await dashboard.logIn('read');
      const alerts = page.getByRole('region', { name: 'Alerts' });
      expect(await alerts.getByRole('link').count()).toBe(1);
      const [opened] = await Promise.all([
        page.context().waitForEvent('page'),
        alerts.getByRole('link', { name: 'Runbook: Job late/cron-archive-data (in a new tab)' }).press('Enter'),
      ]);
      await opened.waitForLoadState();
      expect(opened.url()).toBe(`${dashboard.api.url}/dashboard/runbooks#job_late`);
      expect(await opened.locator(':target').innerText()).toBe('job_late');
      expect(await violations(opened)).toEqual([]);
      await opened.setViewportSize({ width: 320, height: 800 });
      expect(await isWider(opened)).toBe(false);
      await opened.close();
      expect(dashboard.browser.requested.filter((url) => !url.startsWith(`${dashboard.api.url}/`))).toEqual([]);
    });

    it('fits a phone and breaks no rule of accessibility with a subject and a history open', async () => {
      await connected();
      await fillDashboard(dashboard.pool);
      const subject = `user:${'long-'.repeat(40)}`;
      await dashboard.api.limiter.block('strict', subject);
      const { page } = await dashboard.logIn('admin');
      await search(page, subject);
      await page.getByRole('table', { name: 'Windows of the subject' }).waitFor();
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await violations(page)).toEqual([]);
      }
      for (const width of [320, 390, 1024, 1280]) {
        await page.setViewportSize({ width, height: 844 });
        expect([width, await isWider(page)]).toEqual([width, false]);
      }
      await page.setViewportSize({ width: 390, height: 844 });
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'History: runware, ai_provider' }).click();
      await page.getByRole('dialog').getByRole('rowheader').first().waitFor();
      expect((await page.getByRole('dialog').boundingBox())?.width).toBeLessThan(390);
      expect(await isWider(page)).toBe(false);
    });
  },
);

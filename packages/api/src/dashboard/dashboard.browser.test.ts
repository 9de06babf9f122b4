import { revokeApiKey } from '@spillway/db';
import { describe, expect, it } from 'vitest';
import { noBrowser, focused, isWider, violations, beat, cells, panel, soon } from '../../test/use-browser.ts';
import { useDashboard, fillDashboard, reportDecisions } from '../../test/use-dashboard.ts';

describe.skipIf(noBrowser !== undefined)(
  `the dashboard in Chromium${noBrowser === undefined ? '' : ` (skipped: ${noBrowser})`}`,
  () => {
    const dashboard = useDashboard();
    const count = async (outcome: string, decisions: number): Promise<void> =>
      reportDecisions(dashboard.pool, { policy: 'standard', outcome, count: decisions, ago: '90 seconds' });

    it('lets nobody in without a key that may read, and says what is wrong with another', async () => {
      const page = await dashboard.open();
      await page.getByLabel('API key').fill('sw_wrong');
      await page.getByRole('button', { name: 'Log in' }).click();
      await expect.poll(() => page.getByRole('alert').innerText(), soon).toBe('This key is not valid.');
      await page.getByLabel('API key').fill((await dashboard.newKey('decide')).key);
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByRole('alert').innerText(), soon).toBe('This needs a key with the scope read.');
      await page.getByLabel('API key').fill((await dashboard.newKey('read')).key);
      await page.keyboard.press('Enter');
      await page.locator('main.board').waitFor();
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('API key').waitFor();
      await page.reload();
      await page.getByLabel('API key').waitFor();
    });

    it('says in words what an empty database means, part by part', async () => {
      const { page } = await dashboard.logIn('read');
      const words = {
        Decisions: 'No decision was counted in this time.',
        'Circuit breakers': 'No breaker has seen a failure or been moved yet.',
        'Blocked subjects': 'Nobody was blocked in this time, and nobody is now.',
        'Audit trail': 'No worker has reported yet. Is one running?',
        Maintenance: 'has not run yet',
        Capacity: 'This database allows',
      };
      for (const [name, text] of Object.entries(words)) expect(await panel(page, name).innerText()).toContain(text);
      expect(await beat(page, 'Trail lag, p99')).toBe('–');
      expect(await page.getByRole('region', { name: 'Alerts' }).count()).toBe(0);
    });

    it('shows what the tables hold: decisions, breakers, blocks, the trail, runs, capacity and alerts', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('read');
      expect(await page.locator('figcaption').allInnerTexts()).toEqual(['auth', 'generation', 'standard', 'strict']);
      const strict = page.getByRole('img', { name: 'Decisions a second of strict.' });
      expect(await strict.getAttribute('aria-label')).toMatch(/allowed \d\d, blocked 0, shadow-blocked [2-6]/u);
      expect(Number(await beat(page, 'Allowed'))).toBeGreaterThan(400);
      expect(await beat(page, 'Breakers not closed')).toBe('3');
      expect(await beat(page, 'Events in trouble')).toBe('1');

      const [state, probe, failures, perMinute, openings, cause] = await cells(page, 'Circuit breakers', 'runware');
      expect([failures, perMinute, openings, cause]).toEqual(['184', '3.07', '1', 'HTTP 503 from api.runware.test']);
      expect(state).toMatch(/^open for \d+ s$/u);
      expect(probe).toMatch(/^in \d+ s$/u);
      expect((await cells(page, 'Circuit breakers', 'partner-hooks'))[5]).toBe('partner is migrating (key)');
      expect((await cells(page, 'Blocked subjects', '203.0.113.0/24')).slice(0, 4)).toEqual([
        'auth',
        'sign-in',
        '1',
        '611',
      ]);
      expect(await cells(page, 'Blocked subjects', 'user:1623')).toContain('over');
      expect(await cells(page, 'Blocked subjects', 'user:4242')).toContain('no end set');
      expect(await panel(page, 'Audit trail').innerText()).toMatch(/Dead letters\s+1/u);
      expect((await cells(page, 'Maintenance', 'cron-cleanup-rate-limits')).slice(0, 3)).toEqual([
        'completed 7 h ago',
        '380 ms',
        '8,204',
      ]);
      expect((await cells(page, 'Maintenance', 'cron-create-partitions'))[0]).toContain('lock timeout');
      expect(await cells(page, 'Capacity', 'Concurrent users')).toEqual([
        '742',
        '100 742 %',
        '1,000 74 %',
        '10,000+ 7 %',
      ]);
      expect(await panel(page, 'Capacity').innerText()).toMatch(/within five minutes, counted \d+ s ago/u);
      expect(await page.getByRole('region', { name: 'Alerts' }).innerText()).toMatch(
        /Audit dead letters is 1, above 0/u,
      );
      expect(await page.title()).toBe('(1) Spillway');
      // A key that may only read can look, and change nothing.
      expect(await page.locator('td.buttons').count()).toBe(0);
    });

    it('follows the tables without a reload, in the same charts, and keeps focus and an open dialog meanwhile', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      await page.evaluate(`document.querySelectorAll('canvas').forEach((canvas) => (canvas.dataset.first = 'yes'))`);
      const marked = await page.locator('canvas[data-first]').count();
      await page.getByRole('button', { name: 'Unblock user:4242' }).click();
      await dashboard.pool.query(`DELETE FROM rate_limits_v2 WHERE identifier = 'user:4242'`);
      await count('allowed', 5_000_000);
      await expect.poll(() => page.getByRole('row').filter({ hasText: 'user:4242' }).count(), soon).toBe(0);
      expect(await page.getByRole('dialog').innerText()).toContain('user:4242');
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Log out' }).focus();
      await dashboard.pool.query("INSERT INTO spillway.alerts (rule, value, threshold) VALUES ('lag', 90, 60)");
      await expect.poll(() => page.title(), soon).toBe('(2) Spillway');
      expect(await focused(page)).toBe('Log out');
      expect(await page.locator('canvas[data-first]').count()).toBe(marked);
      expect(marked).toBe(5);
    });

    it('shows another stretch of time when asked, with the arrow keys too', async () => {
      await reportDecisions(dashboard.pool, { policy: 'old', outcome: 'allowed', count: 600, ago: '5 hours' });
      const { page } = await dashboard.logIn('read');
      await expect.poll(() => panel(page, 'Decisions').innerText(), soon).toContain('No decision was counted');
      await page.getByRole('radio', { name: '1h' }).focus();
      await page.keyboard.press('ArrowRight');
      await expect.poll(() => page.locator('figcaption').allInnerTexts(), soon).toEqual(['old']);
      expect(await page.getByRole('img').getAttribute('aria-label')).toContain('Over 5 h 55 min');
      await page.getByRole('radio', { name: '15m' }).check();
      await expect.poll(() => panel(page, 'Decisions').innerText(), soon).toContain('No decision was counted');
    });

    it('unblocks with the keyboard alone: Enter asks, Escape leaves, Enter does it', async () => {
      const { limiter } = dashboard.api;
      const subject = 'user:7';
      await expect
        .poll(
          () =>
            limiter.block('strict', subject, { action: 'export', durationMs: 600_000 }).then(
              () => true,
              () => false,
            ),
          soon,
        )
        .toBe(true);
      await dashboard.pool.query(`
      INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, window_start,
        last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
      VALUES (gen_random_uuid(), 'k', 'strict', 'export', '${subject}', 10, 60000, 10, 3, now(), now(), now() + interval '10 minutes', 0, 1, 1)`);
      const { page } = await dashboard.logIn('admin');
      const blocked = async (): Promise<boolean> =>
        !(await limiter.peek('strict', subject, { action: 'export' })).allowed;
      expect(await blocked()).toBe(true);
      const name = `Unblock ${subject}, export under strict`;
      for (let tabs = 0; tabs < 60 && (await focused(page)) !== name; tabs += 1) await page.keyboard.press('Tab');
      expect(await focused(page)).toBe(name);
      expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Escape');
      expect(await page.getByRole('dialog').count()).toBe(0);
      expect(await blocked()).toBe(true);
      expect(await focused(page)).toBe(name);
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').waitFor();
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByRole('status').last().innerText(), soon).toContain(`${subject} is unblocked`);
      expect(await blocked()).toBe(false);
    });

    it('asks before it forces a breaker, in the whole fleet, with a reason and for a time; and gives it back', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      const { key } = await dashboard.newKey('read');
      const state = async (): Promise<unknown> => {
        const headers = { Authorization: `Bearer ${key}` };
        return (await fetch(`${dashboard.api.url}/v1/breakers/resend?preset=email`, { headers })).json();
      };
      await page.getByRole('button', { name: 'Force open: resend, email' }).click();
      const dialog = page.getByRole('dialog', { name: 'Force open' });
      expect(await dialog.innerText()).toContain('Every call is refused, in the whole fleet: resend (email).');
      await dialog.getByLabel('Reason').fill('provider is down');
      await dialog.getByLabel('For how long').selectOption('15 minutes');
      expect(await state()).toMatchObject({ fleetState: 'closed' });
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByRole('dialog').count(), soon).toBe(0);
      expect(await state()).toMatchObject({ fleetState: 'forced_open', why: 'provider is down' });
      await page.getByRole('button', { name: 'Automatic: uploads, storage' }).click();
      await page.getByRole('button', { name: 'Automatic', exact: true }).click();
      await expect.poll(() => page.getByRole('status').last().innerText(), soon).toContain('Automatic: uploads');
    });

    it('says in the dialog why something could not be done', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      await page.getByRole('button', { name: 'Force open: resend, email' }).click();
      await page.getByRole('dialog').waitFor();
      await dashboard.stop();
      await page.keyboard.press('Enter');
      await expect
        .poll(() => page.getByRole('dialog').getByRole('alert').innerText(), soon)
        .toContain('cannot be reached');
      await dashboard.start();
    });

    it('fits a phone: the page does not scroll sideways, and rows are cards with their titles', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      for (const width of [320, 390, 768, 1024, 1217, 1280]) {
        await page.setViewportSize({ width, height: 844 });
        expect([width, await isWider(page)]).toEqual([width, false]);
      }
      await page.setViewportSize({ width: 390, height: 844 });
      const title = `getComputedStyle(document.querySelector('td[data-title=Refused]'), '::before').content`;
      expect(await page.evaluate(title)).toBe('"Refused"');
      await page.getByRole('button', { name: 'Force open: resend, email' }).click();
      expect((await page.getByRole('dialog').boundingBox())?.width).toBeLessThan(390);
      expect(await isWider(page)).toBe(false);
    });

    it('breaks no rule of accessibility in light, in dark, with a dialog, on a phone, at the login, while it loads', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      const ground = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');
      const light = await ground();
      expect(await violations(page)).toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
      expect(await ground()).not.toBe(light);
      expect(await page.evaluate('document.getAnimations().length')).toBe(0);
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Force open: resend, email' }).click();
      expect(await violations(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await page.setViewportSize({ width: 390, height: 844 });
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Log out' }).click();
      await page.getByLabel('API key').waitFor();
      expect(await violations(page)).toEqual([]);
      // Its question for the session is never answered.
      await page.route('**/dashboard/session', () => undefined);
      await page.reload();
      await page.getByText('Loading …').waitFor();
      expect(await violations(page)).toEqual([]);
    });

    it('sends requests only to its own server, and so does the board of the queues', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('admin');
      await expect.poll(() => page.locator('canvas').count(), soon).toBe(5);
      await page.goto(`${dashboard.api.url}/queues`);
      await expect.poll(() => page.locator('body').innerText(), soon).toContain('spillway-audit');
      expect(dashboard.browser.requested.length).toBeGreaterThan(8);
      expect(dashboard.browser.requested.filter((url) => !url.startsWith(`${dashboard.api.url}/`))).toEqual([]);
      expect(dashboard.browser.complaints).toEqual([]);
    });

    it('ends the session when the key is revoked, and says so', async () => {
      const { page, keyId } = await dashboard.logIn('read');
      await revokeApiKey(dashboard.pool, keyId);
      await page.getByLabel('API key').waitFor();
      expect(await page.getByRole('status').innerText()).toBe('Your session is over: please log in again.');
    });

    it('says when it has lost the server, keeps the last figures, and is live again when that is back', async () => {
      const { page } = await dashboard.logIn('read');
      await dashboard.stop();
      const liveness = page.locator('.connection-status');
      await expect.poll(() => liveness.innerText(), soon).toContain('no connection, trying again; figures of');
      expect(await panel(page, 'Capacity').isVisible()).toBe(true);
      await dashboard.start();
      await expect.poll(() => liveness.innerText(), soon).toMatch(/^no worker has reported/u);
    });
  },
);

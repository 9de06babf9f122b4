import { describe, expect, it } from 'vitest';
import { noBrowser, beat, cells, panel, soon } from '../../test/use-browser.ts';
import { useDashboard, fillDashboard } from '../../test/use-dashboard.ts';

describe.skipIf(noBrowser !== undefined)(
  `what the dashboard says of itself${noBrowser === undefined ? '' : ` (skipped: ${noBrowser})`}`,
  () => {
    const dashboard = useDashboard();
    const run = async (sql: string): Promise<unknown> => dashboard.pool.query(sql);

    it('names a worker that stopped in the header, the title and the figures, and draws no zeros for what it does not know', async () => {
      await fillDashboard(dashboard.pool);
      await run(`UPDATE public.system_metrics SET recorded_at = recorded_at - interval '12 minutes'`);
      await run(`DELETE FROM spillway.decision_counts WHERE minute > now() - interval '13 minutes'`);
      await run(`DELETE FROM spillway.decision_reports WHERE recorded_at > now() - interval '13 minutes'`);
      const { page } = await dashboard.logIn('read');
      await expect
        .poll(() => page.getByRole('status').first().innerText(), soon)
        .toMatch(/^no worker since \d\d:\d\d: figures are old$/u);
      expect(await page.title()).toContain('No worker');
      for (const name of ['Allowed', 'Blocked', 'Events in trouble']) expect(await beat(page, name)).toBe('–');
      expect(await page.locator('.summary-strip').innerText()).toContain('no worker reports');
      const chart = page.getByRole('img', { name: 'Decisions a second of auth.' });
      expect(await chart.getAttribute('aria-label')).toContain('allowed not known');
      // What Postgres itself knows, it goes on to tell.
      expect(await beat(page, 'Blocks running')).toBe('4');

      await run(
        `INSERT INTO public.system_metrics (metric_name, metric_value, metric_unit) VALUES ('audit_oldest_event_age_ms', 3, 'ms')`,
      );
      await expect.poll(() => page.getByRole('status').first().innerText(), soon).toBe('live');
      expect(await page.title()).not.toContain('No worker');
      expect(await beat(page, 'Allowed')).toBe('0');
    });

    it('shows the last minute in its figures, whatever the range, and keeps the range in the address', async () => {
      await fillDashboard(dashboard.pool);
      const { page } = await dashboard.logIn('read');
      const allowed = async (): Promise<number> => Number((await beat(page, 'Allowed')).replaceAll(',', ''));
      await page.locator('main.board').waitFor();
      const now = await allowed();
      expect(now).toBeGreaterThan(400);
      await page.getByRole('radio', { name: '7d' }).check();
      await expect.poll(() => page.url(), soon).toContain('range=7d');
      await expect.poll(async () => Math.abs((await allowed()) / now - 1), soon).toBeLessThan(0.2);
      await page.reload();
      await page.locator('main.board').waitFor();
      expect(await page.getByRole('radio', { name: '7d' }).isChecked()).toBe(true);
    });

    it('tells the lag from event to Postgres as it was measured, and calls a trail idle when nothing was stored lately', async () => {
      const sample = async (name: string, value: number, ago: string): Promise<unknown> =>
        dashboard.pool.query(
          `INSERT INTO public.system_metrics (metric_name, metric_value, metric_unit, recorded_at) VALUES ($1, $2, 'ms', now() - $3::interval)`,
          [name, value, ago],
        );
      await sample('audit_oldest_event_age_ms', 0, '0');
      await sample('audit_event_lag_p99_ms', 870, '20 minutes');
      const { page } = await dashboard.logIn('read');
      await expect.poll(() => beat(page, 'Trail lag, p99'), soon).toBe('idle');
      await sample('audit_event_lag_p50_ms', 130, '1 second');
      await sample('audit_event_lag_p99_ms', 260, '1 second');
      await expect.poll(() => beat(page, 'Trail lag, p99'), soon).toBe('260 ms');
      expect(await panel(page, 'Audit trail').innerText()).toMatch(
        /Lag, median\s+130 ms\s+Lag, p99\s+260 ms\s+Oldest waiting\s+0 ms/u,
      );
    });

    it('counts every running block, not only those in the list', async () => {
      await run(`INSERT INTO public.rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
          window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
        SELECT gen_random_uuid(), 'k', 'auth', 'sign-in', 'user:' || n, 5, 60000, 5, 1, now(), now(), now() + interval '1 hour', 0, 1, n
        FROM generate_series(1, 5000) AS n`);
      const { page } = await dashboard.logIn('read');
      await expect.poll(() => beat(page, 'Blocks running'), soon).toBe('5,000');
      expect(await panel(page, 'Blocked subjects').getByRole('row').count()).toBe(21);
    });

    it('says of an alert on which side of its threshold it is, in its unit', async () => {
      await run(`INSERT INTO spillway.alerts (rule, value, threshold, details) VALUES
        ('partitions_missing', 0, 1, '{}'), ('clock_behind', -7500, -5000, '{"unit": "ms"}'), ('clock_ahead', 6000, 5000, '{"unit": "ms"}')`);
      const { page } = await dashboard.logIn('read');
      const alerts = page.getByRole('region', { name: 'Alerts' });
      await alerts.waitFor();
      const text = await alerts.innerText();
      expect(text).toContain('Partitions missing is 0, below 1');
      expect(text).toContain('Clock behind is −7.5 s, below −5 s');
      expect(text).toContain('Clock ahead is 6 s, above 5 s');
    });

    it('shows the last run of each job, scheduled or requested', async () => {
      await run(`INSERT INTO spillway.job_runs (job, due_at, trigger, status, started_at, finished_at) VALUES
        ('cron-reconcile-audit', now() - interval '3 hours', 'schedule', 'completed', now() - interval '3 hours', now() - interval '3 hours'),
        ('cron-create-partitions', null, 'http', 'failed', now() - interval '2 hours', now() - interval '2 hours'),
        ('cron-cleanup-rate-limits', now() - interval '9 hours', 'schedule', 'baseline', now() - interval '9 hours', now())`);
      const { page } = await dashboard.logIn('read');
      await page.locator('main.board').waitFor();
      expect((await cells(page, 'Maintenance', 'cron-reconcile-audit'))[0]).toMatch(/^completed 3 h ago/u);
      expect((await cells(page, 'Maintenance', 'cron-create-partitions'))[0]).toMatch(/^failed ?by HTTP ?2 h ago/u);
      expect((await cells(page, 'Maintenance', 'cron-cleanup-rate-limits'))[0]).toBe('has not run yet');
    });

    it('says when it looked at the newest blocks only, and that a flood above the cap left blocks without a row', async () => {
      await fillDashboard(dashboard.pool);
      await dashboard.pool.query(`
        INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
          window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
        SELECT gen_random_uuid(), 'k', 'auth', 'sign-in', 'bot-' || n, 5, 60000, 5, 1, now(), now(), now() + interval '1 minute', 0, 1, n
        FROM generate_series(1, 5000) AS n;
        INSERT INTO system_metrics (metric_name, metric_value) VALUES ('audit_blocks_capped', 41234)`);
      const { page } = await dashboard.logIn('read');
      expect(await panel(page, 'Blocked subjects').innerText()).toContain(
        'of the newest 5,000 of the time range and the 5,000 running ones that end last',
      );
      expect(await panel(page, 'Blocked subjects').innerText()).toContain(
        '41,234 blocks of the last 10 minutes have no row',
      );
      expect(await panel(page, 'Top subjects by refusals').innerText()).toContain('newest 5,000');
      expect(await beat(page, 'Block rows not written')).toBe('41.2K');
    });

    it('resolves a gap by its button, asks why, and the trail keeps who said so', async () => {
      await run(`INSERT INTO spillway.audit_gaps (id, kind, shard) VALUES (gen_random_uuid(), 'dropped', 3)`);
      const { page, keyId } = await dashboard.logIn('admin');
      await page.getByRole('button', { name: 'Resolve: dropped of shard 3' }).click();
      const dialog = page.getByRole('dialog', { name: 'Resolve' });
      await dialog.getByRole('button', { name: 'Resolve' }).click();
      await expect.poll(() => dialog.innerText(), soon).toContain('Enter a reason: the trail keeps it.');
      const open = 'SELECT FROM spillway.audit_gaps WHERE resolved_at IS NULL';
      expect((await dashboard.pool.query(open)).rowCount).toBe(1);
      await dialog.getByLabel('Reason').fill('the disk was full');
      await page.keyboard.press('Enter');
      await expect.poll(() => page.getByRole('button', { name: /^Resolve: / }).count(), soon).toBe(0);
      expect((await dashboard.pool.query(open)).rowCount).toBe(0);
      const { rows } = await dashboard.pool.query<{ actor: string; note: string }>(
        'SELECT actor, note FROM spillway.changes ORDER BY created_at DESC LIMIT 1',
      );
      expect(rows).toEqual([{ actor: expect.stringContaining(keyId), note: 'the disk was full' }]);
    });
  },
);

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { noBrowser } from '../../test/use-browser.ts';
import { useDashboard, fillDashboard } from '../../test/use-dashboard.ts';

/** `SPILLWAY_SCREENSHOTS=1` redraws the pictures of the documentation. */
const wanted = process.env['SPILLWAY_SCREENSHOTS'] === '1' && noBrowser === undefined;
const image = (name: string): string =>
  fileURLToPath(new URL(`../../../../docs/images/dashboard-${name}.png`, import.meta.url));

describe.skipIf(!wanted)('the pictures of the documentation (SPILLWAY_SCREENSHOTS=1)', () => {
  const dashboard = useDashboard();

  it('are drawn from an hour of traffic', async () => {
    await fillDashboard(dashboard.pool);
    const { page } = await dashboard.logIn('admin');
    await expect.poll(() => page.locator('canvas').count()).toBe(5);
    await page.setViewportSize({ width: 1320, height: 800 });
    await page.screenshot({ path: image('light'), fullPage: true, animations: 'disabled' });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.getByRole('button', { name: 'Force open: resend, email' }).click();
    await page.screenshot({ path: image('dark'), animations: 'disabled' });
    await page.keyboard.press('Escape');
    await page.emulateMedia({ colorScheme: 'light' });
    const { limiter } = dashboard.api;
    const subject = 'ip:203.0.113.0/24';
    await limiter.block('auth', subject, { action: 'sign-in', durationMs: 780_000 });
    await limiter.consume('standard', subject, { cost: 37 });
    await limiter.live?.setOverride({ policy: 'standard', subject: 'ip:203.0.113.*', limit: 60 });
    await page.getByRole('searchbox', { name: 'Subject' }).fill(subject);
    await page.keyboard.press('Enter');
    const found = page.getByRole('region', { name: `Subject ${subject}` });
    await found.getByRole('table', { name: 'Windows of the subject' }).waitFor();
    await found.screenshot({ path: image('subject'), animations: 'disabled' });
    await found.getByRole('button', { name: 'Close' }).click();
    await page.setViewportSize({ width: 390, height: 844 });
    await page.evaluate('scrollTo(0, 0)');
    await page.screenshot({ path: image('phone'), animations: 'disabled' });
  });
});

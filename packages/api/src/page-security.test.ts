import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { pageSecurityHeaders } from './page-security.ts';

async function policyOf(...needs: Parameters<typeof pageSecurityHeaders>): Promise<string | null> {
  const app = new Hono().get('/', pageSecurityHeaders(...needs), (context) => context.text(''));
  return (await app.request('/')).headers.get('Content-Security-Policy');
}

it('lets a page load from this host alone, and be framed by nobody', async () => {
  expect(await policyOf()).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'; " +
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
});

it('allows what a page needs beyond that, and no more', async () => {
  expect(await policyOf({ dataImages: true, fonts: true, base: true })).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
      "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'",
  );
});

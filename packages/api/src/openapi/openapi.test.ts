import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';
import { Hono } from 'hono';
import { pageSecurityHeaders } from './document.ts';

const api = useApi();

const documentOf = async (): Promise<Record<string, unknown>> =>
  (await (await api.app.request('/openapi.json')).json()) as Record<string, unknown>;

it('/openapi.json is a valid OpenAPI 3.1 document', async () => {
  const document = await documentOf();
  expect(document['openapi']).toBe('3.1.0');
  expect(await new Validator().validate(document)).toEqual({ valid: true });
});

it('describes every route that is served, and none that is not', async () => {
  const { paths } = (await documentOf()) as { paths: Record<string, Record<string, unknown>> };
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );
  const served = api.app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`);
  const routes = new Set(served.filter((route) => !/ \/(?:docs|openapi\.json|dashboard)/.test(route)));
  expect([...routes].toSorted()).toEqual(described.toSorted());
});

it('says of every refusal that it is a problem document', async () => {
  const text = JSON.stringify(await documentOf());
  expect(text).toContain('"application/problem+json"');
  const refusals = [...text.matchAll(/"(4\d\d|5\d\d)":\{"description":"[^"]*","content":\{"([^"]+)"/g)];
  expect(refusals.length).toBeGreaterThan(50);
  expect(new Set(refusals.map(([, , type]) => type))).toEqual(new Set(['application/problem+json']));
});

it('/docs loads nothing from elsewhere', async () => {
  const page = await api.app.request('/docs');
  const html = await page.text();
  const policy = page.headers.get('Content-Security-Policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/https?:/);
  const links = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '');
  expect(links.length).toBeGreaterThan(3);
  for (const link of links) {
    const asset = await api.app.request(link);
    expect([link, asset.status]).toEqual([link, 200]);
    expect((await asset.arrayBuffer()).byteLength).toBeGreaterThan(50);
  }
});

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

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { useApi } from '../test/use-api.ts';
import { problem, problems, problemType } from './problems.ts';
import path from 'node:path';

const api = useApi();

const names = Object.keys(problems) as (keyof typeof problems)[];
const page = readFileSync(new URL('../../../docs/api.md', import.meta.url), 'utf8');
const folder = import.meta.dirname;
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(path.join(folder, file), 'utf8') }));

it('docs/api.md lists every problem with its status, and no other', () => {
  const listed = [...page.matchAll(/^\| `([a-z-]+)` \| (\d{3})[^|]* \| /gm)].map(
    ([, name, status]) => `${name} ${status}`,
  );
  expect(listed.toSorted()).toEqual(names.map((name) => `${name} ${problems[name][0]}`).toSorted());
});

it('the OpenAPI document lists the same types', async () => {
  const document = JSON.parse(await (await api.app.request('/openapi.json')).text());
  expect(document.components.schemas.Problem.properties.type.enum.toSorted()).toEqual(
    names.map(problemType).toSorted(),
  );
});

it('every problem is answered somewhere, and nothing answers with one that has no name', () => {
  const code = sources
    .map(({ file, text }) => (file === 'problems.ts' ? text.slice(text.indexOf('} as const;')) : text))
    .join('');
  const unused = names.filter(
    (name) => !code.includes(`'${name}'`) && !code.includes(`unknownThingProblem('${name.replace('unknown-', '')}')`),
  );
  expect(unused).toEqual([]);
  const byHand = sources.filter(
    ({ file, text }) => file !== 'problems.ts' && /\bproblemResponse\b|about:blank|problem\+json; /.test(text),
  );
  expect(byHand.map(({ file }) => file)).toEqual([]);
});

it('a type names the problem, whatever its words say', async () => {
  expect(await problem('unknown-policy', { detail: 'x' }).json()).toEqual({
    type: 'urn:spillway:problem:unknown-policy',
    title: 'Unknown policy',
    status: 404,
    detail: 'x',
  });
});

const body = { subject: 'a' };
it.each([
  ['POST', '/v1/limits/none/consume', body, 'unknown-policy'],
  ['POST', '/v1/nowhere', body, 'no-such-path'],
  ['PATCH', '/v1/policies/ten', body, 'method-not-allowed'],
  ['POST', '/v1/limits/ten/consume', {}, 'invalid-request'],
  ['POST', '/v1/limits/ten/consume', { subject: 'x'.repeat(300_000) }, 'body-too-large'],
  ['DELETE', '/v1/policies/ten', undefined, 'policy-not-live'],
  ['GET', '/v1/policies/none', undefined, 'unknown-policy'],
  ['DELETE', '/v1/keys/00000000-0000-4000-8000-000000000000', undefined, 'unknown-key'],
])('%s %s with %j is told as %s… by its type', async (method, at, sent, name) => {
  const response = await api.ask(method, at, sent === undefined ? {} : { body: sent });
  expect(await response.json()).toMatchObject({ type: `urn:spillway:problem:${name}`, status: response.status });
});

it.each([
  [{}, 'not-authenticated', 401],
  [{ Authorization: 'Bearer read' }, 'insufficient-scope', 403],
  [{ Authorization: 'Bearer decide', 'Content-Type': 'text/plain' }, 'not-json', 415],
])('a decision that is asked for with %j is told as %s', async (headers, name, status) => {
  const sent = { 'Content-Type': 'application/json', ...headers };
  const response = await api.app.request('/v1/limits/ten/consume', { method: 'POST', headers: sent, body: '{}' });
  expect(await response.json()).toMatchObject({ type: `urn:spillway:problem:${name}`, status });
});

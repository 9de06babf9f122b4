import { expect, it } from 'vitest';
import { useApi } from '../test/use-api.ts';

const api = useApi();

it('says nothing of probes and of decisions that went well, and a line of every other request', async () => {
  const consume = async (policy: string, body: object): Promise<Response> =>
    api.ask('POST', `/v1/limits/${policy}/consume`, { body });
  for (let request = 0; request < 3; request += 1) {
    await api.app.request('/healthz');
    await api.app.request('/readyz');
    await consume('ten', { subject: 'a', cost: 6 });
    await api.ask('POST', '/v1/limits/ten/peek', { body: { subject: 'a' } });
  }
  await consume('ten', { subject: '' });
  await consume('none', { subject: 'a' });
  await api.ask('POST', '/v1/limits/ten/reset', { body: { subject: 'a' } });
  await api.ask('GET', '/v1/policies');
  await api.app.request('/v1/policies');
  const lines = api.log.lines().filter(({ msg }) => msg === 'api: request');
  const told = lines.filter(({ level }) => Number(level) >= 30);
  expect(told.map(({ route, status }) => [route, status])).toEqual([
    ['/v1/limits/:policy/consume', 400],
    ['/v1/limits/:policy/consume', 404],
    ['/v1/limits/:policy/reset', 204],
    ['/v1/policies', 200],
    ['/v1/policies', 401],
  ]);
  expect(lines).toHaveLength(17);
});

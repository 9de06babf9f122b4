// The same in workerd, by miniflare.
import { Miniflare } from 'miniflare';

const { API_URL, API_KEY } = process.env;
const workerd = new Miniflare({
  modules: true,
  scriptPath: './out/edge.mjs',
  compatibilityDate: '2025-06-01',
  bindings: { API_URL, API_KEY },
});
const ask = async () => {
  const answer = await workerd.dispatchFetch('http://edge.test/', { headers: { 'X-API-Key': 'demo' } });
  return answer.ok ? answer.text() : String(answer.status);
};
const together = await Promise.all(Array.from({ length: 12 }, ask));
const limited = [...together.toSorted().toReversed(), await ask()];
const calls = [];
for (let call = 0; call < 5; call += 1)
  calls.push(await (await workerd.dispatchFetch('http://edge.test/guarded')).text());
process.stdout.write(`${[...limited, ...calls].join(' ')}\n`);
await workerd.dispose();

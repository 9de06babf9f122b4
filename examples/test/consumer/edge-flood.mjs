// Floods the bundle of edge.mjs in this runtime, twelve requests in one turn and one after them, says who admitted or what it answered, and makes five calls that fail.
import edge from './out/edge.mjs';

const ask = async () => {
  const request = new Request('http://edge.test/', { headers: { 'X-API-Key': 'demo' } });
  const answer = await edge.fetch(request, { ...process.env });
  return answer.ok ? answer.text() : String(answer.status);
};
const together = await Promise.all(Array.from({ length: 12 }, ask));
const limited = [...together.toSorted().toReversed(), await ask()];
const calls = [];
for (let call = 0; call < 5; call += 1)
  calls.push(await (await edge.fetch(new Request('http://edge.test/guarded'), { ...process.env })).text());
process.stdout.write(`${[...limited, ...calls].join(' ')}\n`);

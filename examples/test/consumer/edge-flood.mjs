// Floods the bundle of edge.mjs in this runtime, twelve requests in one turn and one after them, and says who admitted or what it answered.
import edge from './out/edge.mjs';

const ask = async () => {
  const request = new Request('http://edge.test/', { headers: { 'X-API-Key': 'demo' } });
  const answer = await edge.fetch(request, { ...process.env });
  return answer.ok ? answer.text() : String(answer.status);
};
const together = await Promise.all(Array.from({ length: 12 }, ask));
process.stdout.write(`${[...together.toSorted().toReversed(), await ask()].join(' ')}\n`);

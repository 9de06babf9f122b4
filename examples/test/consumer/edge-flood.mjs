// Floods the bundle of edge.mjs in this runtime, twelve requests in one turn and one after them, and says what it answered.
import edge from './out/edge.mjs';

const ask = async () => {
  const request = new Request('http://edge.test/', { headers: { 'X-API-Key': 'demo' } });
  return (await edge.fetch(request, { ...process.env })).status;
};
const together = await Promise.all(Array.from({ length: 12 }, ask));
process.stdout.write(`${[...together.toSorted(), await ask()].join(' ')}\n`);

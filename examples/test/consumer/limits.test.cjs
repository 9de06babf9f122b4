const { createLimiter, memoryStore, tiers } = require('@spillway/limiter');

test('limits', async () => {
  const limiter = createLimiter({ store: memoryStore(), policies: tiers });
  const decisions = [];
  for (let request = 0; request < 12; request += 1) decisions.push(await limiter.consume('strict', 'ada'));
  expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10);
});

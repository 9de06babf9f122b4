import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { PolicyFileError } from './placed-yaml.ts';
import { parsePolicyFile, readPolicyFile } from './policy-file.ts';
import { fileJsonSchema } from './schema.ts';

const parse = (text: string): ReturnType<typeof parsePolicyFile> => parsePolicyFile(text, 'spillway.yaml');

/** What is wrong, as the message has it. */
function wrong(text: string | Uint8Array): string[] {
  try {
    parsePolicyFile(text, 'spillway.yaml');
  } catch (error) {
    if (error instanceof PolicyFileError) return error.message.split('\n');
    throw error;
  }
  return [];
}

describe('parsePolicyFile', () => {
  it('reads policies, overrides, lists, plans and breakers, with defaults filled in', () => {
    const file = parse(
      `
policies:
  uploads: { limit: 10, windowMs: 60_000 }
  bills: { algorithm: quota, limit: 1000, period: month }
overrides:
  - { policy: uploads, subject: 'org-7:*', limit: 200 }
lists:
  allow: [10.1.2.3/8]
  deny: ['bot-*']
plans:
  free: uploads
  pro: [uploads, bills]
breakers:
  search:
    trip: { strategy: consecutive, failures: 3 }
    openMs: 1000
    timeoutMs: false
`.replace('60_000', '60000'),
    );
    expect(file).toMatchObject({
      name: 'spillway.yaml',
      sha256: expect.stringMatching(/^[\da-f]{64}$/u),
      policies: [
        { name: 'uploads', algorithm: 'sliding-log', limit: 10, blockMs: 0, onUnavailable: 'open' },
        { name: 'bills', algorithm: 'quota', period: 'month', timeZone: 'UTC' },
      ],
      overrides: [{ policy: 'uploads', subject: 'org-7:*', limit: 200 }],
      allowed: ['10.0.0.0/8'],
      denied: ['bot-*'],
      plans: [
        { name: 'free', policies: ['uploads'] },
        { name: 'pro', policies: ['uploads', 'bills'] },
      ],
      presets: [{ name: 'search', openMs: 1000, timeoutMs: Infinity, probes: 1 }],
    });
  });

  it.each([
    ['policies:\n  a: { limit: ten, windowMs: 1 }', '2:15: policies.a.limit must be a whole number from 1 to'],
    ['policies:\n  a: { limit: 10 }', '2:6: policies.a.windowMs must be a whole number'],
    ['policies:\n  a:\n    limit: 10\n    windowMs: 5\n    burst: 3', '5:12: policies.a.burst is not an option'],
    ['policies:\n  a:\n    limit: 10\n    windowMs: 5\n    lmit: 3', '5:5: policies.a.lmit is not an option here'],
    ['policies:\n  Big: { limit: 1, windowMs: 1 }', '2:3: policies.Big must be named by'],
    [
      'policies:\n  a: { limit: 1, windowMs: 9, blockMs: 1, lease: { size: 1, ttlMs: 10 } }',
      '2:50: policies.a.lease cannot',
    ],
    ['polices:\n  a: 1', '1:1: polices is not an option here'],
    ['policies: [a]', '1:11: policies must be a mapping'],
    ['policies:\n  a: 5', '2:6: policies.a must be a mapping'],
    ['overrides:\n  - { policy: a, subject: u }', '2:5: overrides.0 must set at least one'],
    ['overrides:\n  - { policy: a, subject: 7, limit: 1 }', '2:27: overrides.0.subject must be text'],
    ["overrides:\n  - { policy: a, subject: '*', limit: 1 }", '2:27: overrides.0.subject must not match every subject'],
    [
      'overrides:\n  - { policy: a, subject: u, limit: 1 }\n  - { policy: a, subject: u, limit: 2 }',
      '3:27: overrides.1.subject appears twice: "u"',
    ],
    ['lists:\n  deny: [10.0.0.0/33]', '2:10: lists.deny.0 '],
    ['lists:\n  allow: [10.0.0.1]\n  deny: ["::ffff:10.0.0.1"]', '3:10: lists.deny.0 appears twice: "10.0.0.1"'],
    ['plans:\n  pro: []', '2:8: plans.pro must name a policy'],
    ['plans:\n  pro: [a, a]', '2:8: plans.pro must all be different'],
    ['breakers:\n  s: { openMs: 5 }', '2:6: breakers.s.trip must have strategy'],
    [
      'breakers:\n  s: { openMs: 50, maxOpenMs: 5, trip: { strategy: consecutive, failures: 1 } }',
      '2:31: breakers.s.maxOpenMs must be a whole number from 50',
    ],
    ['policies:\n  a: { limit: 1, windowMs: 1 }\n  a: { limit: 2, windowMs: 1 }', '3:3: Map keys must be unique'],
    ['policies:\n\ta: 1', '2:1: Tabs are not allowed as indentation'],
    ['a: [1', '1:6: Flow sequence'],
    ['', '1:1: is empty'],
    ['# nothing', '1:1: is empty'],
    ['---\na: 1\n---\nb: 2', '3:1: Source contains multiple documents'],
    ['policies: !!js/function x', '1:11: Unresolved tag'],
  ])('says what is wrong and where in %j', (text, problem) => {
    expect(wrong(text).map((line) => line.replace(/^spillway\.yaml:/u, ''))).toContainEqual(
      expect.stringContaining(problem),
    );
    for (const line of wrong(text)) expect(line).toMatch(/^spillway\.yaml:\d+:\d+: /u);
  });

  it('tells all that is wrong at once, in the order of the file', () => {
    const text = 'lists:\n  deny: [1]\npolicies:\n  a: { limit: 0, windowMs: x }\n';
    expect(wrong(text).map((line) => line.split(':').slice(1, 3).join(':'))).toEqual(['2:10', '4:15', '4:28']);
  });

  it('refuses what is no UTF-8, too long, or grows when it is read', () => {
    expect(wrong(new Uint8Array([0x61, 0xff]))).toEqual(['spillway.yaml:1:1: must be UTF-8']);
    expect(wrong(`# ${'x'.repeat(5_000_000)}`)[0]).toContain('must be at most 4194304 bytes');
    const bomb = [
      'a: &a [1,1,1,1,1,1,1,1,1]',
      ...'bcdefgh'.split('').map((name, index) => {
        const last = 'abcdefgh'[index] ?? 'a';
        return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${last}`).join(',')}]`;
      }),
    ].join('\n');
    expect(wrong(bomb)[0]).toContain('Excessive alias count');
  });

  it('follows aliases, and places what is wrong with them', () => {
    const text = 'policies:\n  a: &a { limit: 5, windowMs: 1000 }\n  b: *a\nplans: { pro: [a, b] }\n';
    expect(parse(text).policies).toMatchObject([{ name: 'a' }, { name: 'b', limit: 5 }]);
    expect(wrong('policies:\n  a: &a { limit: 0, windowMs: 1000 }\n  b: *a\n')).toHaveLength(2);
  });

  it('says that a file cannot be read', async () => {
    await expect(readPolicyFile('/nowhere/spillway.yaml')).rejects.toMatchObject({
      code: 'invalid_policy_file',
      message: '/nowhere/spillway.yaml:1:1: cannot be read (ENOENT)',
    });
  });
});

it('takes the file that the documentation shows', async () => {
  const page = await readFile(new URL('../../../../docs/policy-file.md', import.meta.url), 'utf8');
  const [, shown = ''] = /```yaml\n(.*?)```/su.exec(page) ?? [];
  expect(parse(shown)).toMatchObject({ policies: { length: 2 }, denied: { length: 2 }, presets: { length: 1 } });
});

it('has a JSON schema for editors, which is the one in the package of the command line', async () => {
  const shipped: unknown = JSON.parse(
    await readFile(new URL('../../../cli/spillway.schema.json', import.meta.url), 'utf8'),
  );
  expect(shipped).toEqual(JSON.parse(JSON.stringify(fileJsonSchema())));
  expect(shipped).toMatchObject({
    additionalProperties: false,
    properties: { policies: { additionalProperties: { required: ['limit'], additionalProperties: false } } },
  });
});

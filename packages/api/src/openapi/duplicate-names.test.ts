import fc from 'fast-check';
import { expect, it } from 'vitest';
import { duplicateName } from './duplicate-names.ts';

const found = (text: string): string | undefined => duplicateName(text, JSON.parse(text));

it.each([
  ['{"a":1,"a":2}', 'a'],
  ['{"a":"x","b":[],"a":{}}', 'a'],
  ['{"a":{"b":1,"b":1}}', 'a.b'],
  ['{"a":[{"b":1},{"b":1,"c":2,"b":3}]}', 'a.1.b'],
  ['[1,[2,{"b":"]","b":"}"}]]', '1.1.b'],
  ['{"a" : 1 , "\\u0061" : 2}', 'a'],
  ['{"\\"":1,"\\"":2}', '"'],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"":1,"":2}', ''],
  ['{"1":1,"1":2}', '1'],
  ['{"a":{"x":1},"a":1}', 'a'],
])('names the member that is there twice in %s', (text, name) => {
  expect(found(text)).toBe(name);
});

it.each([
  '1',
  'null',
  '"a"',
  '[]',
  '{}',
  '["a","a"]',
  '{"a":"a","b":"a"}',
  '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
  '{"a":"\\"a\\":1,\\"a\\":2","b":"{,}[,]"}',
  '{"a":"\\\\","b":"\\\\\\""}',
  '{"subject":"ip:2001:db8::1","action":"x"}',
])('finds none in %s', (text) => {
  expect(found(text)).toBeUndefined();
});

it('finds none in what JSON.stringify writes, and one wherever a member is written twice', () => {
  const spaced = fc.constantFrom(undefined, 2, '\t');
  fc.assert(
    fc.property(fc.jsonValue(), spaced, (value, space) => {
      expect(found(JSON.stringify(value, null, space))).toBeUndefined();
    }),
  );
  const place = fc.array(fc.constantFrom('list', 'object'), { maxLength: 5 });
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), fc.jsonValue(), place, (name, one, other, around) => {
      const member = JSON.stringify(name);
      let text = `{"z z":1,${member}:${JSON.stringify(one)},${member}:${JSON.stringify(other)}}`;
      for (const kind of around) text = kind === 'list' ? `["{",${text}]` : `{"[":0,"x":${text}}`;
      const where = around.toReversed().map((kind) => (kind === 'list' ? '1' : 'x'));
      expect(found(text)).toBe([...where, name].join('.'));
    }),
  );
});

it('needs no stack that is as deep as the body', () => {
  const deep = 100_000;
  const text = `${'{"a":'.repeat(deep)}{"b":1,"b":"\\""}${'}'.repeat(deep)}`;
  expect(found(text)?.endsWith('.a.b')).toBe(true);
  expect(found(`${'["\\"",'.repeat(deep)}1${']'.repeat(deep)}`)).toBeUndefined();
});

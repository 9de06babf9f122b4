import type { Queryable } from '../src/connection.ts';

/**
 * Tables with columns and constraints as Postgres itself spells them. Partitions are left out, since which there are depends on
 * the day; so are NOT NULL constraints, which are with the columns and have catalog rows from Postgres 18 on only.
 */
const TABLES = `
  SELECT format(
    E'CREATE TABLE %s.%I (\\n%s\\n)%s%s;',
    n.nspname, c.relname,
    (SELECT string_agg(line, E',\\n' ORDER BY kind, position, line) FROM (
      SELECT 0 AS kind, a.attnum AS position,
             format('  %I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
               ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attnotnull THEN ' NOT NULL' END) AS line
      FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      UNION ALL
      SELECT 1, 0, format('  CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid))
      FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 'n'
    ) AS lines),
    ' PARTITION BY ' || pg_get_partkeydef(c.oid),
    ' WITH (' || array_to_string(c.reloptions, ', ') || ')'
  ) AS sql
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('public', 'archive', 'spillway') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  ORDER BY n.nspname DESC, c.relname`;

/** Indexes other than those that constraints make. */
const INDEXES = `
  SELECT pg_get_indexdef(i.indexrelid) || ';' AS sql
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('public', 'archive', 'spillway') AND NOT t.relispartition
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  ORDER BY n.nspname DESC, t.relname, c.relname`;

const FUNCTIONS = `
  SELECT pg_get_functiondef(p.oid) || ';' AS sql
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname IN ('public', 'archive', 'spillway') ORDER BY p.proname, p.oid`;

/** What the queries above don't spell out shows up by name at least, so that no migration leaves the file as it was. */
const OTHERS = `
  SELECT format('-- %s %s', kind, name) AS sql FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'relation' END AS kind,
           c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('public', 'archive', 'spillway') AND c.relkind NOT IN ('r', 'p', 'i', 'I')
    UNION ALL
    SELECT 'trigger', tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
  ) AS others ORDER BY kind, name`;

/** Row level security and its policies. */
const POLICIES = `
  SELECT format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY;', n.nspname, c.relname) AS sql
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('public', 'archive', 'spillway') AND c.relrowsecurity AND NOT c.relispartition
  UNION ALL
  SELECT format('CREATE POLICY %I ON %I.%I FOR %s TO %s USING (%s) WITH CHECK (%s);', p.policyname, p.schemaname, p.tablename, p.cmd,
    (SELECT string_agg(role, ', ' ORDER BY role) FROM unnest(p.roles) AS role), p.qual, p.with_check)
  FROM pg_policies p ORDER BY 1`;

/** What roles other than the owner may do. */
const PRIVILEGES = `
  SELECT format('GRANT %s ON %s TO %s;', string_agg(privilege, ', ' ORDER BY privilege), object, grantee) AS sql FROM (
    SELECT acl.privilege_type AS privilege, format('SCHEMA %I', n.nspname) AS object, acl.grantee, n.nspowner AS owner
    FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) AS acl WHERE n.nspname IN ('archive', 'spillway')
    UNION ALL
    SELECT acl.privilege_type, format('TABLE %I.%I', n.nspname, c.relname), acl.grantee, c.relowner
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
    WHERE n.nspname IN ('public', 'archive', 'spillway') AND NOT c.relispartition
    UNION ALL
    SELECT format('%s (%I)', acl.privilege_type, a.attname), format('TABLE %I.%I', n.nspname, c.relname), acl.grantee, c.relowner
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
    WHERE n.nspname IN ('public', 'archive', 'spillway') AND NOT c.relispartition
    UNION ALL
    SELECT acl.privilege_type, format('FUNCTION %I.%I', n.nspname, p.proname), acl.grantee, p.proowner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl
    WHERE n.nspname IN ('public', 'archive', 'spillway')
  ) AS granted (privilege, object, grantee_oid, owner)
  CROSS JOIN LATERAL (SELECT coalesce((SELECT rolname::text FROM pg_roles WHERE oid = grantee_oid), 'PUBLIC')) AS named (grantee)
  WHERE grantee_oid <> owner
  GROUP BY object, grantee ORDER BY object, grantee`;

/** Comments on whatever there is: a function, a table, a column, a policy. Other schemas' and Postgres' own are left out. */
const COMMENTS = `
  SELECT format('COMMENT ON %s %s IS %L;', upper(replace(o.type, 'table column', 'column')), o.identity, d.description) AS sql
  FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS o
  WHERE o.identity IN ('archive', 'spillway') OR o.identity ~ '(^| on )(public|archive|spillway)[.]'
  ORDER BY 1`;

/**
 * The schema as text, the same for the same schema: Postgres' own renderings, in a fixed order. It stands in for pg_dump, which
 * the Postgres from npm doesn't bring along, and which refuses servers newer than itself.
 */
export async function dumpSchema(db: Queryable): Promise<string> {
  const sections = [];
  for (const query of [TABLES, INDEXES, FUNCTIONS, POLICIES, PRIVILEGES, COMMENTS, OTHERS]) {
    const { rows } = await db.query<{ sql: string }>(query);
    sections.push(rows.map(({ sql }) => sql.trim()).join(query === TABLES || query === FUNCTIONS ? '\n\n' : '\n'));
  }
  const header = '-- The schema after all migrations. Generated: pnpm --filter @spillway/migrations schema:update\n';
  return `${[header, ...sections.filter((section) => section !== '')].join('\n\n')}\n`;
}

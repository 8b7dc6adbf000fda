import type Database from 'libsql';
import type { FoundRow, IndexChange, IndexQuery, IndexScope, IndexState } from './index-store.ts';
import { closeDatabase, readMeta, writeMeta } from './sqlite.ts';
import { compareValues, type IndexEntry, type IndexList, type IndexValue, isUuid } from './view-index.ts';

/** An index in a database: a table of what each row is found by, and one for each list, in its order. */
export interface IndexTables {
  state(): IndexState;
  /** Yields between steps that take long, so that others are answered. */
  apply(changes: readonly IndexChange[], state: IndexState): Generator<undefined, void>;
  find(query: IndexQuery): readonly FoundRow[];
  /** Ends it so that it is trusted after the machine was started anew, too. */
  close(): void;
}

type Stored = string | number | Uint8Array | ArrayBuffer | null;

/** A statement that is prepared when it is needed first. */
type Statement = (values: readonly Stored[]) => unknown[];

/** Opens the tables of an index, and makes them where they are not there. @throws Error of SQLite */
export function createTables(db: Database.Database, scope: IndexScope): IndexTables {
  const columns = Object.keys(scope.columns);
  const statements = new Map<string, Statement>();
  let current = JSON.parse(readMeta(db, 'state')) as IndexState;
  db.exec(`CREATE TABLE IF NOT EXISTS ${tableOfRows(scope, 'rows')}`);
  db.exec(`CREATE TEMP TABLE ${tableOfRows(scope, 'changes')}`);
  const moves = movesOf(scope);

  const run = (sql: string, values: readonly Stored[]): unknown[] => {
    const known = statements.get(sql) ?? statementOf(db, sql);
    statements.set(sql, known);
    return known(values);
  };
  const transaction = (work: () => void): void => {
    db.exec('BEGIN');
    try {
      work();
      db.exec('COMMIT');
    } catch (error) {
      try {
        db.exec('ROLLBACK');
      } catch {
        // It is over already.
      }
      throw error;
    }
  };

  const put = (table: 'rows' | 'changes', { key, entry }: IndexChange): void => {
    const values = entry === undefined ? columns.map(() => null) : stored(scope, entry);
    run(`INSERT OR REPLACE INTO ${table} VALUES (${marks(columns.length + 1)})`, [packed(key), ...values]);
  };
  /** While an index is filled there are no lists: they are made of all rows at the end, which takes a fifth of the time. */
  const fill = (change: IndexChange): void => {
    if (change.entry === undefined) run('DELETE FROM rows WHERE k = ?', [packed(change.key)]);
    else put('rows', change);
  };
  /** All changes of one list together, in its order: a call of SQLite costs as much as what it does to a row. */
  const replace = (changes: readonly IndexChange[]): void => {
    for (const change of changes) put('changes', change);
    for (const sql of moves) run(sql, []);
  };

  return {
    state: () => current,
    apply: function* (changes, state) {
      const filling = current.position === undefined;
      const ends = filling && state.position !== undefined;
      transaction(() => {
        if (filling) for (const change of changes) fill(change);
        else replace(changes);
        if (!ends) writeMeta(db, 'state', JSON.stringify(state));
      });
      if (ends) {
        for (const n of scope.lists.keys()) {
          yield;
          transaction(() => db.exec(fillList(scope, n)));
        }
        writeMeta(db, 'state', JSON.stringify(state));
      }
      current = state;
    },
    find: (query) => {
      const list = scope.lists[query.list];
      if (list === undefined) return [];
      const { where, values } = conditionsOf(list, query);
      const order = list.descending === true ? 's DESC, k DESC' : 's, k';
      const sql = `SELECT s, k FROM l${query.list}${where} ORDER BY ${order} LIMIT ?`;
      const found = run(sql, [...values, query.limit]) as { s: IndexValue; k: Stored }[];
      return found.map(({ s, k }) => ({ sort: s, key: String(unpacked(k)) }));
    },
    close: () => closeDatabase(db),
  };
}

function statementOf(db: Database.Database, sql: string): Statement {
  const prepared = db.prepare(sql);
  return sql.startsWith('SELECT')
    ? (values) => prepared.all([...values])
    : (values) => {
        prepared.run([...values]);
        return [];
      };
}

const marks = (count: number): string => Array.from({ length: count }, () => '?').join(', ');

/** Only integers have a type: SQLite would make a number of a text that looks like one. */
const typeOf = (scope: IndexScope, column: string): string =>
  scope.columns[column] === 'integer' ? ' INTEGER' : '';

const rowColumn = (scope: IndexScope, column: string): string =>
  `r${Object.keys(scope.columns).indexOf(column)}`;

function tableOfRows(scope: IndexScope, name: string): string {
  const columns = Object.keys(scope.columns).map(
    (column) => `${rowColumn(scope, column)}${typeOf(scope, column)}`,
  );
  return `${name} (${['k PRIMARY KEY', ...columns].join(', ')}) WITHOUT ROWID`;
}

const listColumns = ({ equal }: IndexList): readonly string[] => [...equal.map((_, i) => `e${i}`), 's', 'k'];

/** The places in a list of the rows of a table: the columns of the list. */
function placesOf(scope: IndexScope, { equal, sort }: IndexList, table: 'rows' | 'changes'): string {
  const sources = [...equal, sort];
  const several = sources.filter((column) => scope.columns[column] === 'texts');
  const sourceOf = (column: string): string =>
    several.includes(column) ? `j${several.indexOf(column)}.value` : rowColumn(scope, column);
  const from = [
    table,
    ...several.map((column, i) => `json_each(${table}.${rowColumn(scope, column)}) AS j${i}`),
  ];
  const there = sources.map((column) => `${rowColumn(scope, column)} IS NOT NULL`);
  return `SELECT ${[...sources.map(sourceOf), 'k'].join(', ')} FROM ${from.join(', ')} WHERE ${there.join(' AND ')}`;
}

/** Inserting in its order is what makes it fast. */
const inOrder = (list: IndexList): string =>
  ` ORDER BY ${listColumns(list)
    .map((_, i) => i + 1)
    .join(', ')}`;

/** Makes a list of all rows. */
function fillList(scope: IndexScope, n: number): string {
  const list = scope.lists[n] ?? { equal: [], sort: '' };
  const columns = listColumns(list);
  const typed = columns.map((column, i) => `${column}${typeOf(scope, [...list.equal, list.sort][i] ?? '')}`);
  return `DROP TABLE IF EXISTS l${n};
    CREATE TABLE l${n} (${[...typed, `PRIMARY KEY (${columns.join(', ')})`].join(', ')}) WITHOUT ROWID;
    INSERT INTO l${n} ${placesOf(scope, list, 'rows')}${inOrder(list)};`;
}

/** Takes the changed rows into all lists and then into the table of rows. Without `SELECT * FROM` lists are looked through. */
function movesOf(scope: IndexScope): readonly string[] {
  const known = 'k IN (SELECT k FROM changes)';
  const there = Object.keys(scope.columns).map((column) => `${rowColumn(scope, column)} IS NOT NULL`);
  const lists = scope.lists.flatMap((list, n) => {
    const [before, after] = [
      `${placesOf(scope, list, 'rows')} AND ${known}`,
      placesOf(scope, list, 'changes'),
    ];
    return [
      `DELETE FROM l${n} WHERE (${listColumns(list).join(', ')}) IN (SELECT * FROM (${before} EXCEPT ${after}))`,
      `INSERT INTO l${n} ${after} EXCEPT ${before}${inOrder(list)}`,
    ];
  });
  return [
    ...lists,
    `DELETE FROM rows WHERE ${known}`,
    `INSERT INTO rows SELECT * FROM changes WHERE ${there.join(' OR ')} ORDER BY k`,
    'DELETE FROM changes',
  ];
}

/** A UUID takes 16 bytes. What rows are sorted by stays as it is, for its order. */
function packed(value: IndexValue): Stored {
  return typeof value === 'string' && isUuid(value) ? Buffer.from(value.replaceAll('-', ''), 'hex') : value;
}

function unpacked(value: Stored): IndexValue | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'object') return value;
  const hex = (value instanceof ArrayBuffer ? Buffer.from(value) : Buffer.from(value)).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** What the table of rows holds of an entry, in the order of the columns. */
function stored({ columns, lists }: IndexScope, entry: IndexEntry): readonly Stored[] {
  return Object.keys(columns).map((column) => {
    const value = entry[column];
    if (value === undefined) return null;
    if (typeof value === 'object') return JSON.stringify([...new Set(value)]);
    return lists.some(({ sort }) => sort === column) ? value : packed(value);
  });
}

/** One bound on each side: a second one would have the rows between them looked through. */
function conditionsOf(
  { descending = false }: IndexList,
  { equal, from, below, behind }: IndexQuery,
): { readonly where: string; readonly values: readonly Stored[] } {
  const conditions = equal.map((value, i) => ({ is: `e${i} = ?`, values: [packed(value)] }));
  const isInside =
    behind !== undefined &&
    (from === undefined || compareValues(behind.sort, from) >= 0) &&
    (below === undefined || compareValues(behind.sort, below) < 0);
  if (isInside) {
    const is = descending ? '(s, k) < (?, ?)' : '(s, k) > (?, ?)';
    conditions.push({ is, values: [behind.sort, packed(behind.key)] });
  }
  if (from !== undefined && !(isInside && !descending)) conditions.push({ is: 's >= ?', values: [from] });
  if (below !== undefined && !(isInside && descending)) conditions.push({ is: 's < ?', values: [below] });
  const where = conditions.length === 0 ? '' : ` WHERE ${conditions.map(({ is }) => is).join(' AND ')}`;
  return { where, values: conditions.flatMap(({ values }) => values) };
}

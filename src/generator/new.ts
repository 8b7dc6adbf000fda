import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Entry, entered } from './enter.ts';
import { CannotMake, checkName, identifierOf, pluralOf, renamed } from './names.ts';
import { announcingReaction, type Layout, type NewFile, relativeTo, viewFiles } from './parts.ts';
import { skeletonOf } from './skeleton.ts';

/** What `jetledger new` is asked. */
export interface Asked {
  readonly kind: string;
  readonly name: string;
  /** Of which aggregate a view or a reaction is; the first of the list unless given. */
  readonly of?: string | undefined;
  /** What the first aggregate of a new service is called; `task` unless given. */
  readonly aggregate?: string | undefined;
}

/** How it is used, for people. */
export const USAGE =
  'service NAME [--aggregate NAME] | aggregate NAME | view NAME [--of AGGREGATE] | reaction NAME [--of AGGREGATE]';

/** The words of the template. */
const STARTER = 'starter';
const TASK = 'task';

const PART_NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const LONGEST_NAME = 31;

/**
 * Makes a service in a new folder of `folder`, or adds to the one that `folder` is.
 * @param tell gets a line for people at a time
 * @param layouts of services that are made otherwise than the template
 * @throws CannotMake: what is wrong with it and how it could be
 */
export function makeNew(
  folder: string,
  { kind, name, of, aggregate = TASK }: Asked,
  tell: (line: string) => void,
  layouts: readonly Layout[] = [],
): void {
  if (kind === 'service') {
    newService(folder, checkName('a service', name), checkName('an aggregate', aggregate), tell);
    return;
  }
  const project = projectOf(folder, [...layouts, serviceLayout], tell);
  if (kind === 'aggregate') newAggregate(project, checkName('an aggregate', name));
  else if (kind === 'view' || kind === 'reaction') newPart(project, kind, checkPartName(kind, name), of);
  else throw new CannotMake(`there is no ${JSON.stringify(kind)} to be made: jetledger new ${USAGE}`);
  tell('');
  tell(`Now: ${project.layout.next}`);
}

function checkPartName(kind: string, name: string): string {
  if (PART_NAME.test(name) && name.length <= LONGEST_NAME) return name;
  throw new CannotMake(
    `${JSON.stringify(name)} is no name of a ${kind}: take words of a to z and digits with - between, for example late-invoices.`,
  );
}

/** A service that something is added to. */
interface Project {
  readonly root: string;
  readonly layout: Layout;
  /** Its own name, which its protos have. */
  readonly service: string;
  readonly tell: (line: string) => void;
}

function projectOf(root: string, layouts: readonly Layout[], tell: (line: string) => void): Project {
  const layout = layouts.find(({ list }) => existsSync(join(root, list)));
  if (layout === undefined)
    throw new CannotMake(
      `${basename(root)} is no service of JetLedger: it has no ${serviceLayout.list}. Go to its folder, or make one: jetledger new service NAME`,
    );
  return { root, layout, service: protoNameOf(root), tell };
}

/** Where the marks of fields stand, beside the protos of a service. */
const MARKS = 'jetledger';

/** What the service is called in its protos: their folder. Its package may have got another name, or a scope. */
function protoNameOf(root: string): string {
  const { name } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { name: string };
  const entries = readdirSync(join(root, 'proto'), { withFileTypes: true });
  const all = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const others = all.filter((folder) => folder !== MARKS);
  const folders = others.length === 0 ? all : others;
  const [only] = folders.length === 1 ? folders : folders.filter((folder) => folder === basename(name));
  if (only !== undefined) return only;
  throw new CannotMake(
    `none of the folders of proto (${folders.join(', ')}) is called as the package is (${basename(name)}): give the one with the service's own protos that name.`,
  );
}

const serviceLayout: Layout = {
  list: 'src/service.ts',
  viewFolder: 'src/views',
  viewTests: 'test',
  decider: (aggregate) => `src/domain/${aggregate}.ts`,
  door: (door) => (door === 'projections' ? 'jetledger' : `jetledger/${door}`),
  reaction: announcingReaction,
  aggregate: (_root, service, name) =>
    // All files that are named after it, but for its reaction, and its golden bytes, which are made.
    filesOf(starter())
      .filter(({ path }) => path.includes(TASK) && !path.includes('announce') && !path.includes('golden'))
      .map((file) => generatedFile(file, service, name)),
  routes: (name) => ({
    array: 'routes',
    element: `${name}Routes`,
    importLine: `import { ${name}Routes } from './routes/${pluralOf(name)}.ts';`,
  }),
  next: 'make golden && make test',
};

/** The template of a service: beside the built kernel in its package, or the example in this repository. */
function starter(): string {
  for (const path of ['../../template', '../../examples/service']) {
    const folder = fileURLToPath(new URL(path, import.meta.url));
    if (existsSync(folder)) return folder;
  }
  throw new CannotMake('the template of a service is not in this package: install it again.');
}

const NOT_COPIED = /^(node_modules|dist|src\/gen|vendor|\.jetledger|package-lock\.json)(\/|$)/;

/** The files of a template. */
export function filesOf(folder: string): NewFile[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !NOT_COPIED.test(path.slice(folder.length + 1)))
    .toSorted()
    .map((path) => ({ path: path.slice(folder.length + 1), text: readFileSync(path, 'utf8') }));
}

/** A file of the template as a service and an aggregate of these names have it, whatever is in the names. */
export function generatedFile(file: NewFile, service: string, aggregate: string): NewFile {
  const named = (text: string): string =>
    text
      .split(STARTER)
      .map((part) => renamed(part, TASK, aggregate))
      .join(service);
  return { path: named(file.path), text: named(file.text) };
}

/** A file in which a word has become another, in its text and in its path. */
export function renamedFile({ path, text }: NewFile, from: string, to: string): NewFile {
  return { path: renamed(path, from, to), text: renamed(text, from, to) };
}

function write(root: string, files: readonly NewFile[], tell: (line: string) => void): void {
  const there = files.find(({ path }) => existsSync(join(root, path)));
  if (there !== undefined)
    throw new CannotMake(`${there.path} is there already: take another name, or remove it first.`);
  for (const { path, text } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    tell(`  ${path}`);
  }
}

function newService(folder: string, name: string, aggregate: string, tell: (line: string) => void): void {
  const root = join(folder, name);
  if (existsSync(root)) throw new CannotMake(`${name} is there already: take another name.`);
  const files = filesOf(starter())
    .map((file) => generatedFile(file, name, aggregate))
    // A package cannot hold files of these names.
    .map(({ path, text }) => ({ path: path.replace(/^(gitignore|dockerignore)$/, '.$1'), text }));
  write(root, files, tell);
  vendor(root);
  tell('');
  tell(`cd ${name}`);
  tell('make test      # its tests; the first time it installs what it needs');
  tell('make run       # serves on http://localhost:3000, with a NATS server of its own');
}

/** Packs the package that this runs from into the new service, so that it stands on its own. */
function vendor(root: string): void {
  const own = fileURLToPath(new URL('../..', import.meta.url));
  const folder = join(root, 'vendor');
  mkdirSync(folder, { recursive: true });
  const isRepository = existsSync(join(own, '.ci', 'pack-kernel.mjs'));
  const [command, ...args] = isRepository
    ? [process.execPath, join(own, '.ci', 'pack-kernel.mjs'), folder]
    : ['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', folder, own];
  const packed = spawnSync(command ?? '', args, { encoding: 'utf8' });
  const [file] = readdirSync(folder);
  if (packed.status !== 0 || file === undefined)
    throw new CannotMake(`packing JetLedger into ${basename(root)}/vendor failed: ${packed.stderr.trim()}`);
  renameSync(join(folder, file), join(folder, 'jetledger.tgz'));
}

function newAggregate({ root, layout, service, tell }: Project, name: string): void {
  const path = `proto/${service}/${name}/v1/${name}.proto`;
  const own = existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined;
  const files =
    own === undefined
      ? layout.aggregate(root, service, name)
      : skeletonOf({ service, name, proto: own, path }, layout);
  write(root, files, tell);
  const view = files.find((file) => file.path === `${layout.viewFolder}/${pluralOf(name)}.ts`);
  enter(root, layout, tell, [
    entryOf(layout, 'aggregates', name, layout.decider(name)),
    layout.routes(name),
    ...(view === undefined ? [] : [entryOf(layout, 'views', pluralOf(name), view.path)]),
  ]);
}

function newPart(
  { root, layout, tell }: Project,
  kind: 'view' | 'reaction',
  name: string,
  of: string | undefined,
): void {
  const aggregate = of ?? firstAggregate(root, layout);
  if (!existsSync(join(root, layout.decider(aggregate))))
    throw new CannotMake(
      `--of: there is no aggregate ${aggregate}; its decider would be ${layout.decider(aggregate)}.`,
    );
  const files = kind === 'view' ? viewFiles(layout, name, aggregate) : layout.reaction(name, aggregate);
  write(root, files, tell);
  const [first] = files;
  if (first !== undefined)
    enter(root, layout, tell, [entryOf(layout, `${kind}s`, identifierOf(name), first.path)]);
}

function entryOf({ list }: Layout, array: string, element: string, path: string): Entry {
  const from = relativeTo(dirname(list), path);
  return { array, element, importLine: `import { ${element} } from '${from}';` };
}

function enter(
  root: string,
  { list }: Layout,
  tell: (line: string) => void,
  entries: readonly Entry[],
): void {
  const before = readFileSync(join(root, list), 'utf8');
  writeFileSync(
    join(root, list),
    entries.reduce((text, entry) => entered(text, entry, list), before),
  );
  tell(`  ${list}: ${entries.map(({ element }) => element).join(', ')}`);
}

function firstAggregate(root: string, { list }: Layout): string {
  const text = readFileSync(join(root, list), 'utf8');
  const [, first] = /const aggregates\b[^=]*=\s*\[\s*(\w+)/.exec(text) ?? [];
  if (first !== undefined) return first;
  throw new CannotMake(`${list} has no aggregate: make one first: jetledger new aggregate NAME`);
}

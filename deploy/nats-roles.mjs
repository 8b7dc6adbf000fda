// What each user of NATS needs, and the configuration of nats-server that follows from it: docs/operations.md, "NATS
// users and TLS", and docs/adr/0018-account-per-role.md say why it is so.
//
// A server looks at the subject of a message and not at where its answer goes, and answers itself, with every right in
// the account. So each role has an account of its own, in which an answer reaches nothing but that role, and imports
// single requests: LOG.API.* is JetStream in the account of the log, VIEWS.API.* in the one of the views. Whoever may name
// a subject inside a request (to create or change a stream, to copy it) could have the server send there: in the account
// of the log only the owner may. The projector makes and drops streams, so the views are in its own account.

export const ROLES = ['api', 'projector', 'processor', 'operator'];
/** Who logs in: the roles, and the owner of the log, whose key is no service's. */
export const USERS = [...ROLES, 'owner'];

/** The account of the log. It keeps this name for ever: streams belong to it by name. */
const LOG = 'JETLEDGER';
const VIEWS = 'JETLEDGER_PROJECTOR';
const accountOf = (role) => `${LOG}_${role.toUpperCase()}`;
/** Where JetStream's API of both accounts answers for a role. */
const API = { [LOG]: 'LOG.API', [VIEWS]: 'VIEWS.API' };
const HERE = '$JS.API';

/** An answer in parts comes for as long as this passes between two of them; the server forgets the request then. */
const PARTS = { 'DIRECT.GET': '5s', 'CONSUMER.MSG.NEXT': '15s' };

const all = (...parts) => parts.flat();
const read = (stream) => [`STREAM.INFO.${stream}`, `STREAM.MSG.GET.${stream}`, `DIRECT.GET.${stream}`];
/** With a consumer that lasts as long as its reader. */
const follow = (stream) => [
  `CONSUMER.CREATE.${stream}`,
  `CONSUMER.MSG.NEXT.${stream}.*`,
  `CONSUMER.DELETE.${stream}.*`,
];
/** With the durable consumer that all processors share. */
const work = (stream) => [
  `CONSUMER.CREATE.${stream}.>`,
  `CONSUMER.INFO.${stream}.*`,
  `CONSUMER.MSG.NEXT.${stream}.*`,
];
const purge = (stream) => `STREAM.PURGE.${stream}`;
const consumers = (stream) => [`CONSUMER.LIST.${stream}`, `CONSUMER.INFO.${stream}.*`];

/** The contracts of the shop, as `src/service/shop.ts` lists them. */
export const CONTRACTS = ['orders-v1', 'catalogue-v1', 'users-v1'];

/**
 * The table: what each role asks of JetStream in the account of the log (`log`), and of the views (`views`), and where
 * it publishes. Nothing else is let through.
 */
export function needsOf({ stream, prefix }) {
  const bucket = (name) => `KV_${prefix}_${name}`;
  const rows = (name) => `$KV.${prefix}_${name}.>`;
  const [timers, notifications] = [`${prefix}-timers`, `${prefix}-notifications`];
  // What webhooks are sent.
  const published = CONTRACTS.map((contract) => follow(`${prefix}-public-${contract}`));
  const appended = `${prefix}.*.*.*.*.*`;
  // Messages of the log's own: fences by those who confirm reads, skip marks by the operator.
  const fence = `${prefix}.fence`;
  const everywhere = all(
    'INFO',
    read('*'),
    [stream, ...['engine', 'cursors', 'parked'].map(bucket)].map(follow),
  );
  const views = all(read('*'), follow('*'));
  const acknowledged = (name) => [`$JS.ACK.${name}.>`, `$JS.ACK.*.*.${name}.>`];
  return {
    // serve --roles api: appends, reads log and views, writes snapshots and drops the oldest and those of former folds,
    // marks parked events, pauses consumers. Nobody else makes keys of persons, or destroys them: each value that is
    // replaced is overwritten by name, and the ledger of who was forgotten is read at each start.
    api: {
      log: all(everywhere, purge(bucket('snapshots')), follow(bucket('forgotten')), [
        `STREAM.MSG.DELETE.${bucket('keys')}`,
      ]),
      views,
      publish: [
        appended,
        fence,
        rows('snapshots'),
        rows('parked'),
        rows('engine'),
        rows('keys'),
        rows('forgotten'),
      ],
    },
    // serve --roles projections, and `jetledger rebuild`: reads the log; makes, fills and drops the buckets of views.
    projector: { log: all(everywhere), views: [], publish: [fence] },
    // serve --roles processes: appends what follows from events, keeps cursors and parked events, arms timers, sends
    // notifications, publishes public events and sends them to webhooks. Reads views and never writes them. A timer is
    // disarmed by a purge of its schedule. What an earlier version was sending hangs on a durable consumer.
    processor: {
      log: all(
        everywhere,
        published,
        follow(notifications),
        [timers, notifications].flatMap(work),
        [timers, bucket('snapshots')].map(purge),
      ),
      views,
      publish: all(
        [appended, fence, `${prefix}t.schedule.>`, `${prefix}n.>`, `${prefix}w.>`, 'pub.>'],
        ['snapshots', 'engine', 'cursors', 'parked', 'payments', 'published', 'deliveries'].map(rows),
        [timers, notifications].map(acknowledged),
      ).flat(),
    },
    // `jetledger status`, `doctor`, `inspect`, `verify`, `parked`, `consumers`, `topology plan`: looks, and asks for
    // parked events to be tried again. Makes, changes and copies nothing.
    operator: {
      log: all(everywhere, 'STREAM.NAMES', consumers(timers)),
      views: all(views, 'STREAM.NAMES'),
      publish: [fence, `${prefix}.marks`, ...['parked', 'engine', 'backups'].map(rows)],
    },
  };
}

/**
 * What a partner asks of JetStream in the account of the log: to read the streams of its contracts, at any place, or with
 * one durable consumer each that has the partner's name, so that nobody works with another's.
 */
function needsOfPartner({ prefix }, { name, contracts }) {
  const streams = contracts.map((contract) => `${prefix}-public-${contract}`);
  const log = streams.map((stream) => [
    ...[`STREAM.INFO.${stream}`, `DIRECT.GET.${stream}`],
    ...[`CONSUMER.CREATE.${stream}.${name}`, `CONSUMER.CREATE.${stream}.${name}.>`],
    ...['INFO', 'MSG.NEXT', 'DELETE'].map((what) => `CONSUMER.${what}.${stream}.${name}`),
  ]);
  const publish = streams.flatMap((stream) => [
    `$JS.ACK.${stream}.${name}.>`,
    `$JS.ACK.*.*.${stream}.${name}.>`,
  ]);
  return { log: log.flat(), views: [], publish };
}

/** The partners that arguments name, such as `acme=orders-v1,catalogue-v1`. @throws RangeError */
export function partnersOf(args) {
  return args.map((arg) => {
    const [, name, list] = /^([a-z][a-z0-9]{0,31})=([a-z0-9-]+-v\d+(?:,[a-z0-9-]+-v\d+)*)$/.exec(arg) ?? [];
    if (name === undefined || USERS.includes(name))
      throw new RangeError(
        `${arg} names no partner: write name=contract,contract, as in acme=orders-v1,catalogue-v1`,
      );
    return { name, contracts: list.split(',') };
  });
}

/** The environment of a process that logs in as a user; where its seed is comes on top. */
export function variablesOf(user) {
  const views = user === 'projector' ? HERE : API[VIEWS];
  return {
    JETLEDGER_NATS__INBOX_PREFIX: `_INBOX_${user}`,
    JETLEDGER_NATS__API_PREFIX: user === 'owner' ? HERE : API[LOG],
    JETLEDGER_NATS__VIEWS_API_PREFIX: views,
  };
}

const quoted = (subject) => JSON.stringify(subject);
const block = (open, lines, close) => [open, ...lines.map((line) => `  ${line}`), close];
const array = (name, subjects) => block(`${name}: [`, subjects.map(quoted), ']');
const unique = (subjects) => [...new Set(subjects.flat(2))];
const partsOf = (subject) =>
  Object.entries(PARTS).find(([start]) => subject.startsWith(`${HERE}.${start}.`))?.[1];

function user(name, { allow, deny = [] }, key = 'JETLEDGER_NKEY') {
  const denied = deny.length === 0 ? [] : array('deny', deny);
  const publish = block('publish {', [...array('allow', allow), ...denied], '}');
  const permissions = block('permissions {', [`subscribe: [ "_INBOX_${name}.>" ]`, ...publish], '}');
  return block('{', [`nkey: $${key}_${name.toUpperCase()}`, ...permissions], '}');
}

/** @param asked subjects of the account by role that asks */
function exports(asked) {
  const lines = unique(Object.values(asked)).map((subject) => {
    const accounts = Object.keys(asked).filter((role) => asked[role].includes(subject));
    const parts = partsOf(subject);
    const answer = parts === undefined ? '' : `, response_type: stream, response_threshold: "${parts}"`;
    return `{ service: ${quoted(subject)}${answer}, accounts: [${accounts.map(accountOf).join(', ')}] }`;
  });
  return block('exports: [', lines, ']');
}

function imports(account, subjects) {
  return subjects.map((subject) => {
    const local = subject.startsWith(HERE) ? `, to: ${quoted(localOf(account, subject))}` : '';
    return `{ service: { account: ${account}, subject: ${quoted(subject)} }${local} }`;
  });
}

const localOf = (account, subject) => subject.replace(`${HERE}.`, `${API[account]}.`);
const inApi = (calls) => unique(calls).map((call) => `${HERE}.${call}`);

/** Streams of the account of the log, which the projector's own may not be taken for. */
const namesInLog = ({ stream, prefix }) => [
  ...[stream, `${prefix}-timers`, `${prefix}-notifications`, `${prefix}-webhooks`],
  ...CONTRACTS.map((contract) => `${prefix}-public-${contract}`),
  ...FIXED.map((name) => `KV_${prefix}_${name}`),
];
const FIXED = [
  'engine',
  'cursors',
  'parked',
  'payments',
  'published',
  'deliveries',
  'snapshots',
  'keys',
  'forgotten',
  'backups',
];

/** In its own account the projector works with JetStream itself; a bucket's name ends with a number. */
function projectorsOwn({ stream, prefix }) {
  const own = ['INFO', 'STREAM.NAMES', 'STREAM.CREATE.*', 'STREAM.UPDATE.*', 'STREAM.DELETE.*'];
  return {
    allow: ['$KV.*.>', ...inApi([own, read('*'), follow('*')])],
    deny: [
      ...FIXED.map((name) => `$KV.${prefix}_${name}.>`),
      ...inApi(
        ['CREATE', 'UPDATE', 'DELETE'].map((what) =>
          namesInLog({ stream, prefix }).map((name) => `STREAM.${what}.${name}`),
        ),
      ),
      ...inApi([`STREAM.DELETE.KV_${prefix}_views`]),
    ],
  };
}

/** A user of before there were accounts of roles, in the account of the log: only while processes change over. */
function userBefore(role, names, needs) {
  const own = role === 'projector' ? projectorsOwn(names) : { allow: [] };
  const allow = unique([needs.publish, inApi([needs.log, needs.views]), own.allow]);
  return user(role, { ...own, allow }, 'JETLEDGER_NKEY_BEFORE');
}

function roleAccount(role, names, { publish }, asked) {
  const isKeeper = role === 'projector';
  const own = isKeeper ? projectorsOwn(names) : { allow: [] };
  const api = [LOG, VIEWS].flatMap((account) =>
    asked[account][role].filter((one) => one.startsWith(`${HERE}.`)).map((one) => localOf(account, one)),
  );
  const users = block('users: [', user(role, { ...own, allow: unique([publish, api, own.allow]) }), ']');
  const imported = [LOG, VIEWS].flatMap((account) => imports(account, asked[account][role]));
  return block(
    `${accountOf(role)} {`,
    [
      ...(isKeeper ? ['jetstream: enabled', ...exports(asked[VIEWS])] : []),
      ...users,
      ...block('imports: [', imported, ']'),
    ],
    '}',
  );
}

/** Of the log the server answers nobody who asks for these, in whichever account. */
function guard({ stream }, breakGlass) {
  const calls = ['DELETE', 'PURGE', 'UPDATE', 'RESTORE', 'MSG.DELETE'].map(
    (what) => `STREAM.${what}.${stream}`,
  );
  const mapped = calls.map((call) => `${quoted(`${HERE}.${call}`)}: "JETLEDGER.GUARD.${call}"`);
  const broken =
    '# The glass is broken: the owner may delete, change and restore the log. Put the guard back.';
  // Without the block a reload would leave the guard as it was.
  return block('$SYS {', breakGlass ? [broken] : block('mappings {', mapped, '}'), '}');
}

/**
 * The accounts and users, as nats-server includes them.
 * @param names `stream` and `prefix`: log.stream and log.prefix
 * @param options `breakGlass`: without the guard of the log; `partners`: who reads which contracts; `before`: with the users of before there were accounts of
 *   roles, whose keys are JETLEDGER_NKEY_BEFORE_<ROLE>
 */
export function usersConf(names, { breakGlass = false, before = false, partners = [] } = {}) {
  const ofPartners = partners.map((partner) => [partner.name, needsOfPartner(names, partner)]);
  const needs = { ...needsOf(names), ...Object.fromEntries(ofPartners) };
  const each = (subjects) =>
    Object.fromEntries(Object.keys(needs).map((role) => [role, subjects(needs[role])]));
  const asked = {
    [LOG]: each(({ log, publish }) => unique([inApi([log]), publish])),
    [VIEWS]: each(({ views }) => inApi([views])),
  };
  const old = before ? ROLES.flatMap((role) => userBefore(role, names, needs[role])) : [];
  const owner = user('owner', { allow: ['$JS.>', '$KV.>'] });
  const log = ['jetstream: enabled', ...block('users: [', [...owner, ...old], ']'), ...exports(asked[LOG])];
  const accounts = [
    ...guard(names, breakGlass),
    ...block(`${LOG} {`, log, '}'),
    ...Object.keys(needs).flatMap((role) => roleAccount(role, names, needs[role], asked)),
  ];
  return [...head(names), ...block('accounts {', accounts, '}'), ''].join('\n');
}

const head = ({ stream, prefix }) => [
  '# Made by `npm run nats:users -- --config` from deploy/nats-roles.mjs, which says why: change it there.',
  `# Who may do what on NATS, for log.stream: ${stream} and log.prefix: ${prefix}. Users log in with an NKEY: the public keys`,
  '# come from the environment, the seeds stay with the processes (nats.nkeySeedFile).',
];

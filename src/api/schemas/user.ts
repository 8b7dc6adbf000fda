import Type from 'typebox';
import { commandFields, Name, Next, Reason, Time, UserId, Version } from './common.ts';
import { ada } from './examples.ts';

const strict = { additionalProperties: false } as const;

const Email = (example: string) =>
  Type.String({
    minLength: 3,
    maxLength: 254,
    description: 'Of the form name@example.com; stored in lower case; one user per address.',
    examples: [example],
  });

export const CreateUser = Type.Object(
  { email: Email(ada.email), name: Name(ada.name) },
  { ...strict, $id: 'CreateUser' },
);
export const UpdateUser = Type.Object({ name: Name('Ada King') }, { ...strict, $id: 'UpdateUser' });
export const ChangeEmail = Type.Object(
  { email: Email('king@example.com') },
  { ...strict, $id: 'ChangeEmail' },
);
export const DeactivateUser = Type.Object(
  { reason: Type.Optional(Reason('Asked to leave')) },
  { ...strict, $id: 'DeactivateUser' },
);

const fields = {
  id: UserId,
  email: Type.String({ examples: [ada.email] }),
  name: Type.String({ examples: [ada.name] }),
  status: Type.Enum(['active', 'deactivated', 'forgotten']),
};

/** As the read model shows it. */
export const User = Type.Object(
  {
    ...fields,
    createdAt: Time,
    version: Version,
    unreadable: Type.Optional(
      Type.Boolean({
        description:
          'In lists: true where the key of this person is missing or damaged, and name and email are empty for that.',
      }),
    ),
  },
  { ...strict, $id: 'User', title: 'User' },
);

export const UserPage = Type.Object(
  {
    items: Type.Array(Type.Unsafe<Type.Static<typeof User>>({ $ref: 'User#' })),
    next: Type.Optional(Next),
    incomplete: Type.Optional(
      Type.Boolean({
        description:
          'True where users whose name cannot be read may be meant too: ask again without `namePrefix`.',
      }),
    ),
  },
  { ...strict, $id: 'UserPage', title: 'Page of users, newest first' },
);

/** As a command leaves it. */
export const UserAnswer = Type.Object(
  {
    ...fields,
    pendingEmail: Type.Optional(
      Type.String({
        description: 'The address of a change that is not complete.',
      }),
    ),
    ...commandFields,
  },
  { ...strict, $id: 'UserAnswer', title: 'User after a command' },
);
export type UserBody = Omit<Type.Static<typeof UserAnswer>, keyof typeof commandFields>;

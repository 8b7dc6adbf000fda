import Type from 'typebox';
import { commandFields, Id, Name, Reason, Time, Version } from './common.ts';

const strict = { additionalProperties: false } as const;

const Email = Type.String({
  minLength: 3,
  maxLength: 254,
  description: 'Of the form name@example.com; stored in lower case; one user per address.',
  examples: ['ada@example.com'],
});

export const RegisterUser = Type.Object({ email: Email, name: Name('Ada Lovelace') }, strict);
export const PatchUser = Type.Object({ name: Name('Ada King') }, strict);
export const ChangeEmail = Type.Object({ email: Email }, strict);
export const DeactivateUser = Type.Object({ reason: Type.Optional(Reason('Asked to leave')) }, strict);

const fields = {
  id: Id,
  email: Type.String({ examples: ['ada@example.com'] }),
  name: Type.String({ examples: ['Ada Lovelace'] }),
  status: Type.Enum(['active', 'deactivated']),
};

/** As the read model shows it. */
export const User = Type.Object(
  { ...fields, createdAt: Time, version: Version },
  { ...strict, $id: 'User', title: 'User' },
);

/** As a command leaves it. */
export const UserAnswer = Type.Object(
  {
    ...fields,
    pendingEmail: Type.Optional(
      Type.String({
        description: 'The address of a change that is not complete.',
        examples: ['king@example.com'],
      }),
    ),
    ...commandFields,
  },
  { ...strict, $id: 'UserAnswer', title: 'User after a command' },
);
export type UserBody = Omit<Type.Static<typeof UserAnswer>, keyof typeof commandFields>;

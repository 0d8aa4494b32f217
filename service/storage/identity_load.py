"""The statements of bulk loading that add identities, which were keys in Lucia.

A later import knows them by the ids of these keys, as it knew the keys themselves in versions
without identities.
"""

from __future__ import annotations

# A key that is there already, imported before its issuer was known, becomes the identity. That of
# another user does not, nor does one with a password.
ADD_IDENTITIES = """
INSERT INTO identity (id, user_id, issuer, subject, created_at)
SELECT DISTINCT ON (issuer, subject)
       gen_random_uuid(), owner.id, issuer, subject, coalesce(key.created_at, now())
FROM incoming_identity
JOIN "user" AS owner ON owner.id = incoming_identity.user_id
LEFT JOIN key ON key.provider = incoming_identity.provider AND key.name = subject
WHERE CASE WHEN key.name IS NULL
           THEN NOT EXISTS (
               SELECT FROM imported WHERE kind = 'key' AND imported.id = incoming_identity.id)
           ELSE key.user_id = owner.id AND key.password_hash IS NULL
      END
ORDER BY issuer, subject, number
ON CONFLICT DO NOTHING
"""

REMOVE_KEYS = """
DELETE FROM key USING incoming_identity JOIN identity USING (issuer, subject, user_id)
WHERE key.provider = incoming_identity.provider AND key.name = subject
  AND key.user_id = incoming_identity.user_id AND key.password_hash IS NULL
"""

REMEMBER_IDENTITIES = """
INSERT INTO imported (kind, id, user_id)
SELECT DISTINCT 'key', incoming_identity.id, user_id
FROM incoming_identity JOIN identity USING (issuer, subject, user_id)
ON CONFLICT DO NOTHING
"""

IDENTITIES_NOT_ADDED = """
SELECT number,
       CASE WHEN remembered_user.id IS NOT NULL AND owner.id IS NULL
            THEN 'its user was deleted since it was imported'
            WHEN owner.id IS NULL THEN 'there is no such user'
            WHEN identity.id IS NOT NULL THEN 'another user has this identity'
            WHEN key.name IS NOT NULL THEN 'there is a key with this id that is no identity'
            ELSE 'was removed since it was imported'
       END
FROM incoming_identity
LEFT JOIN "user" AS owner ON owner.id = incoming_identity.user_id
LEFT JOIN imported AS remembered_user
       ON remembered_user.kind = 'user' AND remembered_user.id = incoming_identity.user_id
LEFT JOIN identity USING (issuer, subject)
LEFT JOIN key ON key.provider = incoming_identity.provider AND key.name = subject
WHERE owner.id IS NULL OR identity.id IS NULL OR identity.user_id <> owner.id
ORDER BY number
"""

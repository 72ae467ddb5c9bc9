"""A token of each well-known sign-in's shape, read by its preset; and the settings that the documentation shows."""

import json
import re
from pathlib import Path

import pytest

from app.auth import AuthConfig, AuthenticationError, Authenticator, Failure, issuer_config
from app.auth.presets import PRESETS
from app.domain.access import Principal
from tests.issuers import SECRET, Clock, at, sign

DOCUMENTATION = Path(__file__).parent.parent / "docs" / "sign-in.md"

SETTINGS: dict[str, dict[str, object]] = {
    "coffer": {},
    "wordpress": {"issuer": "https://store.example"},
    "medusa": {},
    "saleor": {"issuer": "https://api.store.example/graphql/"},
    "keycloak": {
        "issuer": "https://id.store.example/realms/shop",
        "audience": "coffer",
        "client": "coffer.api",
    },
    "auth0": {
        "issuer": "https://store.eu.auth0.com/",
        "audience": "https://coffer.store.example",
        "namespace": "https://store.example/",
    },
    "cognito": {
        "issuer": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf",
        "audience": ["4mobile", "5web"],
    },
}

WORDPRESS = {"iss": "https://store.example", "iat": at(0), "nbf": at(0)}
SALEOR = {
    "iat": at(0),
    "owner": "saleor",
    "iss": "https://api.store.example/graphql/",
    "token": "JSbVGnbBCtBh",
    "email": "anna@store.example",
    "type": "access",
    "user_id": "VXNlcjoxMg==",
    "is_staff": False,
}
KEYCLOAK = {
    "iat": at(0),
    "jti": "onrtac:0d1f",
    "iss": "https://id.store.example/realms/shop",
    "aud": ["coffer", "account"],
    "sub": "f1b1d0f6-3a0a-4f7c-9d50-52b4f2f0e3a1",
    "typ": "Bearer",
    "azp": "storefront",
    "realm_access": {"roles": ["offline_access", "default-roles-shop"]},
    "resource_access": {"account": {"roles": ["manage-account"]}},
    "scope": "openid profile email",
    "preferred_username": "anna",
}
AUTH0 = {
    "iss": "https://store.eu.auth0.com/",
    "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
    "aud": ["https://coffer.store.example", "https://store.eu.auth0.com/userinfo"],
    "iat": at(0),
    "azp": "my_client_id",
    "scope": "openid profile",
}
COGNITO = {
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEf",
    "client_id": "5web",
    "token_use": "access",
    "scope": "aws.cognito.signin.user.admin",
    "auth_time": at(0),
    "iat": at(0),
    "username": "anna",
}
MEDUSA = {"actor_id": "cus_01", "actor_type": "customer", "auth_identity_id": "authid_01", "iat": at(0)}


async def enter(preset: str, claims: dict[str, object], /, **settings: object) -> Principal:
    issuer = issuer_config({"preset": preset, "secret": SECRET, **SETTINGS[preset], **settings})
    authenticator = Authenticator(AuthConfig(issuers=(issuer,)), now=Clock())
    return await authenticator.principal(f"Bearer {sign(claims)}")


@pytest.mark.parametrize(
    ("preset", "claims", "kind", "subject", "customer", "roles"),
    [
        ("coffer", {"sub": "c1"}, "CUSTOMER", "c1", "c1", ()),
        (
            "coffer",
            {"sub": "anna", "roles": ["support"], "customer_id": 7},
            "STAFF",
            "anna",
            "7",
            ("support",),
        ),
        ("wordpress", WORDPRESS | {"data": {"user": {"id": "12"}}}, "CUSTOMER", "12", "12", ()),
        ("wordpress", WORDPRESS | {"data": {"user": {"id": 12}}}, "CUSTOMER", "12", "12", ()),
        (
            "wordpress",
            WORDPRESS | {"data": {"user": {"id": 1, "roles": ["shop_manager", "customer", "editor"]}}},
            "STAFF",
            "1",
            "1",
            ("shop_manager", "customer"),
        ),
        (
            "wordpress",
            WORDPRESS | {"id": "3", "roles": ["administrator"]},
            "STAFF",
            "3",
            "3",
            ("administrator",),
        ),
        ("medusa", MEDUSA, "CUSTOMER", "cus_01", "cus_01", ("customer",)),
        (
            "medusa",
            MEDUSA | {"actor_id": "user_01", "actor_type": "user"},
            "STAFF",
            "user_01",
            "user_01",
            ("administrator",),
        ),
        ("saleor", SALEOR, "CUSTOMER", "VXNlcjoxMg==", "VXNlcjoxMg==", ()),
        ("saleor", SALEOR | {"is_staff": True}, "STAFF", "VXNlcjoxMg==", "VXNlcjoxMg==", ("support",)),
        (
            "saleor",
            SALEOR | {"is_staff": True, "permissions": ["MANAGE_GIFT_CARD", "MANAGE_PLUGINS"]},
            "STAFF",
            "VXNlcjoxMg==",
            "VXNlcjoxMg==",
            ("support", "shop_manager"),
        ),
        ("keycloak", KEYCLOAK, "CUSTOMER", KEYCLOAK["sub"], KEYCLOAK["sub"], ()),
        (
            "keycloak",
            KEYCLOAK
            | {
                "customer_id": "77",
                "realm_access": {"roles": ["support"]},
                "resource_access": {
                    "coffer.api": {"roles": ["finance"]},
                    "other": {"roles": ["administrator"]},
                },
            },
            "STAFF",
            KEYCLOAK["sub"],
            "77",
            ("support", "finance"),
        ),
        ("auth0", AUTH0, "CUSTOMER", AUTH0["sub"], AUTH0["sub"], ()),
        (
            "auth0",
            AUTH0 | {"https://store.example/roles": ["finance"], "https://store.example/customer_id": 9},
            "STAFF",
            AUTH0["sub"],
            "9",
            ("finance",),
        ),
        ("cognito", COGNITO, "CUSTOMER", COGNITO["sub"], COGNITO["sub"], ()),
        (
            "cognito",
            COGNITO | {"cognito:groups": ["eu-central-1_AbCdEf_Google", "administrator"]},
            "STAFF",
            COGNITO["sub"],
            COGNITO["sub"],
            ("administrator",),
        ),
    ],
)
async def test_reads_tokens_of_each_shape(
    preset: str, claims: dict[str, object], kind: str, subject: str, customer: str, roles: tuple[str, ...]
) -> None:
    who = await enter(preset, claims)
    assert (who.kind.value, who.subject, who.customer_external_id, who.roles) == (
        kind,
        subject,
        customer,
        roles,
    )


@pytest.mark.parametrize(
    ("preset", "claims", "reason"),
    [
        ("wordpress", WORDPRESS | {"data": {"user": {"id": 0}}}, Failure.MISSING_CLAIM),
        ("wordpress", WORDPRESS | {"data": {"user": [5]}}, Failure.MISSING_CLAIM),
        # A sign-up that is not finished: there is an identity, but no customer yet.
        ("medusa", MEDUSA | {"actor_id": ""}, Failure.MISSING_CLAIM),
        ("medusa", MEDUSA | {"actor_type": "vendor"}, Failure.WRONG_TYPE),
        # The token of a password reset bears the same signature.
        ("medusa", {"entity_id": "anna@store.example", "provider": "emailpass"}, Failure.WRONG_TYPE),
        ("saleor", SALEOR | {"type": "refresh"}, Failure.WRONG_TYPE),
        ("saleor", SALEOR | {"type": "thirdparty"}, Failure.WRONG_TYPE),
        ("keycloak", KEYCLOAK | {"typ": "ID"}, Failure.WRONG_TYPE),
        ("keycloak", KEYCLOAK | {"typ": "Refresh"}, Failure.WRONG_TYPE),
        ("keycloak", KEYCLOAK | {"aud": "account"}, Failure.WRONG_AUDIENCE),
        ("auth0", AUTH0 | {"aud": "my_client_id"}, Failure.WRONG_AUDIENCE),
        ("auth0", AUTH0 | {"iss": "https://evil.eu.auth0.com/"}, Failure.UNKNOWN_ISSUER),
        ("cognito", COGNITO | {"token_use": "id", "aud": "5web"}, Failure.WRONG_TYPE),
        ("cognito", COGNITO | {"client_id": "another app"}, Failure.WRONG_AUDIENCE),
        (
            "cognito",
            {**COGNITO, "client_id": ["5web", {}]} | {"client_id": {"5web": 1}},
            Failure.WRONG_AUDIENCE,
        ),
    ],
)
async def test_refuses_other_tokens_of_the_same_issuer(
    preset: str, claims: dict[str, object], reason: Failure
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await enter(preset, claims)
    assert caught.value.reason is reason


async def test_settings_lie_over_a_preset() -> None:
    who = await enter(
        "saleor",
        SALEOR | {"is_staff": True, "permissions": ["MANAGE_USERS"], "extra": {"number": 5}},
        roles={"is_staff": "", "MANAGE_USERS": "administrator"},
        claims={"customer_id": "extra.number", "required": {"owner": "saleor"}},
    )
    assert (who.roles, who.customer_external_id) == (("administrator",), "5")
    with pytest.raises(AuthenticationError):
        await enter("saleor", SALEOR, claims={"required": {"owner": "somebody"}})


async def test_a_variable_that_is_not_set_takes_its_path_away() -> None:
    claims = {
        **KEYCLOAK,
        "resource_access": {"{client}": {"roles": ["administrator"]}, "": {"roles": ["finance"]}},
    }
    assert (await enter("keycloak", claims, client="")).roles == ()


def documented() -> list[dict[str, object]]:
    """Return every issuer in the documentation's settings examples."""
    lines = re.findall(r"^COFFER_AUTH_ISSUERS='(.*?)'$", DOCUMENTATION.read_text(), re.MULTILINE | re.DOTALL)
    return [issuer for line in lines for issuer in json.loads(line)]


def test_the_documentation_shows_settings_that_work_for_every_preset() -> None:
    shown = documented()
    assert {issuer.get("preset", "coffer") for issuer in shown} == set(PRESETS)
    for issuer in shown:
        Authenticator(AuthConfig(issuers=(issuer_config(issuer),)), now=Clock())


def test_the_documentation_lists_every_reason() -> None:
    text = DOCUMENTATION.read_text()
    assert [reason for reason in Failure if f"`{reason}`" not in text] == []

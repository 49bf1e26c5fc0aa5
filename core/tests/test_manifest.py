import attrs
import pytest

from multitap.manifest import KeyInfo, ProviderInfo, Setting, provider_from_table

TABLE = {
    "title": "Acme",
    "local": True,
    "endpoint": "http://127.0.0.1:8080",
    "suffixes": ["/api"],
    "docs": "https://acme.example/docs",
    "api": 1,
    "key": {"variable": "ACME_API_KEY", "required": True},
    "settings": {
        "region": {"type": "text", "default": "eu", "help": "Where?", "choices": ["eu", "us"]},
    },
}


def test_a_full_table_becomes_a_provider():
    region = Setting(name="region", default="eu", help="Where?", choices=("eu", "us"))
    expected = ProviderInfo(
        name="acme",
        title="Acme",
        local=True,
        endpoint="http://127.0.0.1:8080",
        suffixes=("/api",),
        docs="https://acme.example/docs",
        key=KeyInfo(variable="ACME_API_KEY", required=True),
        settings={"region": region},
    )

    assert expected == provider_from_table("acme", TABLE)


def test_an_empty_table_is_a_provider_without_settings_or_key():
    expected = ProviderInfo(name="acme", title="acme")

    assert expected == provider_from_table("acme", {})


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"titel": "Acme"}, "acme has unknown keys: titel"),
        ({"distribution": "x", "name": "y"}, "acme has unknown keys: distribution, name"),
        ({"key": {"variabel": "A"}}, "acme.key has unknown keys: variabel"),
        ({"settings": {"a": {"kind": "text"}}}, "acme.settings.a has unknown keys: kind"),
        ({"settings": {"a": {"type": "string"}}}, r"acme\.settings\.a: .*'type'.*'text'"),
        ({"title": 3}, "acme: 'title' must be <class 'str'>"),
        ({"local": "yes"}, "acme: 'local' must be <class 'bool'>"),
        ({"suffixes": "/api"}, "acme: 'suffixes' must match regex"),
        ({"suffixes": ["api"]}, "acme: 'suffixes' must match regex"),
        ({"api": "1"}, "acme: 'api' must be <class 'int'>"),
        ({"key": {"required": 1}}, "acme.key: 'required' must be <class 'bool'>"),
        ({"key": "ACME_API_KEY"}, "acme.key must be a table, not 'ACME_API_KEY'"),
        ({"settings": []}, r"acme.settings must be a table, not \[\]"),
        ({"settings": {"a": {"choices": 3}}}, "acme.settings.a: 'int' object is not iterable"),
        ("Acme", "acme must be a table, not 'Acme'"),
    ],
)
def test_a_wrong_key_or_type_is_named(table, complaint):
    with pytest.raises(ValueError, match=complaint):
        provider_from_table("acme", table)


def test_the_table_itself_is_left_alone():
    before = {**TABLE, "key": dict(TABLE["key"])}

    provider_from_table("acme", TABLE)

    assert before == TABLE


def test_a_provider_has_a_json_form():
    data = attrs.asdict(provider_from_table("acme", TABLE))

    assert data["settings"]["region"]["default"] == "eu"
    assert data["key"]["variable"] == "ACME_API_KEY"

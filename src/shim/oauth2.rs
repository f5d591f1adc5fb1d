//! The JSON schema of an OAuth2 block, for editors. The block itself is Flow's message, which `oauth` reads.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `auto`, or a block.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    let template = |description: &str| json_schema!({"type": "string", "description": description});
    let templates = |description: &str| json_schema!({"type": "object", "additionalProperties": {"type": "string"}, "description": description});
    let refresh = "Not used for captures: connectors renew their tokens themselves.";
    json_schema!({
        "default": null,
        "anyOf": [
            {"const": "auto"},
            {"type": "null"},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "provider": template("The provider's name. The branch of `credentials` with this `x-oauth2-provider` gets the values."),
                    "authUrlTemplate": template("Where the user consents. Variables: state, redirect_uri, client_id, config.*, code_challenge, code_challenge_method."),
                    "accessTokenUrlTemplate": template("Where the code becomes a token. Variables: redirect_uri, client_id, client_secret, config.*, code_verifier, and what the provider sends back, such as code."),
                    "accessTokenMethod": template("Flow sends POST, whatever it says."),
                    "accessTokenBody": template("The body of that request, with the same variables."),
                    "accessTokenHeaders": templates("Its headers, with the same variables. Write names in lower case."),
                    "accessTokenResponseMap": templates("Names of credentials, and where each comes from: a JSON pointer into the answer, or a template over it. All else of the answer is dropped."),
                    "refreshTokenUrlTemplate": template(refresh),
                    "refreshTokenMethod": template(refresh),
                    "refreshTokenBody": template(refresh),
                    "refreshTokenHeaders": templates(refresh),
                    "refreshTokenResponseMap": templates(refresh),
                },
            },
        ],
    })
}

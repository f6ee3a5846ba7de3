// Draws the API's document with Swagger UI.

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger", deepLinking: true, tryItOutEnabled: true, persistAuthorization: false, validatorUrl: null });

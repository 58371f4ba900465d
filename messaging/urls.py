"""Rules and what became of their messages."""

from django.urls import path

from messaging import (
    browser_views,
    delivery_views,
    demo_shop,
    settings_views,
    subscription_views,
    tracking,
    unsubscribing,
    views,
)

urlpatterns = [
    path("demo-shop/", demo_shop.demo_shop, name="demo_shop"),
    path("o/<str:token>.gif", tracking.opened, name="opened"),
    path("c/<str:token>", tracking.clicked, name="clicked"),
    path("u/<str:token>/", unsubscribing.unsubscribe, name="unsubscribe"),
    path("u/<str:token>/undo/", unsubscribing.subscribe_again, name="subscribe_again"),
    path("app/<slug:app_id>/messages/", views.messages, name="messages"),
    path("app/<slug:app_id>/messages/new/", views.new_message, name="new_message"),
    path("app/<slug:app_id>/messages/build/", views.message_build, name="message_build"),
    path("app/<slug:app_id>/messages/promise/", views.message_promise, name="message_promise"),
    path("app/<slug:app_id>/messages/preview/", views.preview, name="message_preview"),
    path("app/<slug:app_id>/messages/<int:pk>/", views.auto_message, name="auto_message"),
    path("app/<slug:app_id>/messages/<int:pk>/versions/", views.message_versions, name="message_versions"),
    path("app/<slug:app_id>/messages/<int:pk>/dead-letters/", delivery_views.dead_letters, name="dead_letters"),
    path("app/<slug:app_id>/deliveries/", delivery_views.deliveries, name="deliveries"),
    path("app/<slug:app_id>/deliveries/<int:pk>/", delivery_views.delivery, name="delivery"),
    path("app/<slug:app_id>/deliveries/<int:pk>/body/", delivery_views.delivery_body, name="delivery_body"),
    path("app/<slug:app_id>/settings/browser/", browser_views.browser, name="browser"),
    path("app/<slug:app_id>/settings/browser/identity/", browser_views.change_identity, name="change_identity"),
    path("app/<slug:app_id>/settings/browser/secrets/", browser_views.add_secret, name="add_identity_secret"),
    path(
        "app/<slug:app_id>/settings/browser/secrets/<int:pk>/remove/",
        browser_views.remove_secret,
        name="remove_identity_secret",
    ),
    path("app/<slug:app_id>/settings/browser/look/", browser_views.change_look, name="change_look"),
    path("app/<slug:app_id>/settings/browser/look/preview/", browser_views.look_preview, name="look_preview"),
    path("app/<slug:app_id>/settings/webhooks/", subscription_views.webhooks, name="webhooks"),
    path("app/<slug:app_id>/settings/webhooks/<int:pk>/", subscription_views.webhook, name="webhook"),
    path("app/<slug:app_id>/settings/policy/", settings_views.change_policy, name="change_policy"),
    path("app/<slug:app_id>/settings/webhook-secret/", settings_views.new_secret, name="new_webhook_secret"),
    path("app/<slug:app_id>/settings/senders/", settings_views.add_sender, name="add_sender"),
    path("app/<slug:app_id>/settings/senders/<int:pk>/remove/", settings_views.remove_sender, name="remove_sender"),
    path(
        "app/<slug:app_id>/settings/suppressed/<int:pk>/lift/", settings_views.lift_suppression, name="lift_suppression"
    ),
]

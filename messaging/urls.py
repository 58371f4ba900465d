"""Rules and what became of their messages."""

from django.urls import path

from messaging import tracking, unsubscribing, views

urlpatterns = [
    path("o/<str:token>.gif", tracking.opened, name="opened"),
    path("c/<str:token>", tracking.clicked, name="clicked"),
    path("u/<str:token>/", unsubscribing.unsubscribe, name="unsubscribe"),
    path("u/<str:token>/undo/", unsubscribing.subscribe_again, name="subscribe_again"),
    path("app/<slug:app_id>/messages/", views.messages, name="messages"),
    path("app/<slug:app_id>/messages/new/", views.new_message, name="new_message"),
    path("app/<slug:app_id>/messages/where/", views.message_where, name="message_where"),
    path("app/<slug:app_id>/messages/preview/", views.preview, name="message_preview"),
    path("app/<slug:app_id>/messages/<int:pk>/", views.auto_message, name="auto_message"),
    path("app/<slug:app_id>/deliveries/", views.deliveries, name="deliveries"),
    path("app/<slug:app_id>/deliveries/<int:pk>/", views.delivery, name="delivery"),
    path("app/<slug:app_id>/deliveries/<int:pk>/body/", views.delivery_body, name="delivery_body"),
]

"""The sandbox's own pages; they exist in sandbox mode only."""

from django.urls import path

from smartauth.sandbox import views

urlpatterns = [
    path("launcher", views.to_app),
    path("launcher/", views.to_app),
    path("launcher/app", views.to_app),
    path("launcher/app/", views.app),
    path("launcher/app/launch", views.launch),
]
